import { join } from "node:path";
import type {
  Client,
  ClientReadableStream,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServiceDefinition,
} from "@grpc/grpc-js";
import type { PackageDefinition } from "@grpc/proto-loader";
import { packageRoot } from "../core/package.ts";

/**
 * Messages of src/api/assistant.proto, as the loader's options below make them. Every field is present in what was
 * received.
 */
export interface ForwardRequest {
  readonly path: string;
  readonly method: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ForwardResponse {
  readonly status: number;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ModelInfo {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: string;
  readonly contextTokens: number;
  readonly slots: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly loaded: boolean;
  /** JSON; "": not reported. */
  readonly capabilities: string;
}

export interface InfoResponse {
  readonly version: string;
  readonly models: readonly string[];
  readonly endpoints: readonly string[];
  readonly nodeId: string;
  readonly modelDetails: readonly ModelInfo[];
}

/** Fields of a message to send may be left out. */
export type Sent<Message> = Partial<Message>;

/** By the names that grpc-js uses in addition to those of the definition. */
export interface AssistantHandlers {
  readonly forwardRequest: handleUnaryCall<ForwardRequest, Sent<ForwardResponse>>;
  readonly forwardRequestStream: handleServerStreamingCall<ForwardRequest, Sent<ForwardResponse>>;
  readonly getInfo: handleUnaryCall<object, InfoResponse>;
}

/** The client that grpc-js makes of the service. */
export interface AssistantClient extends Client {
  ForwardRequestStream(request: Sent<ForwardRequest>, metadata: Metadata): ClientReadableStream<ForwardResponse>;
  GetInfo(
    request: object,
    metadata: Metadata,
    options: { deadline: number },
    callback: (error: Error | null, answer?: InfoResponse) => void,
  ): void;
}

export interface LoadedService {
  readonly grpc: typeof import("@grpc/grpc-js");
  readonly definition: PackageDefinition;
  readonly service: ServiceDefinition;
  /** Of `model-service.ts`. */
  readonly modelService: ServiceDefinition;
}

export const SERVICE_NAME = "assistant.AssistantService";
export const MODEL_SERVICE_NAME = "assistant.ModelService";

/** Metadata of a failed call, in addition to status and text. */
export const failureKeys = {
  /** Code of the error catalogue. */
  code: "x-assistant-code",
  remedy: "x-assistant-remedy",
  /** Whole seconds. */
  retryAfter: "retry-after",
} as const;

let loaded: Promise<LoadedService> | null = null;

/** The gRPC library and the services' definitions. They take 75 ms and 30 MB, so they are loaded when first needed. */
export function loadAssistantService(): Promise<LoadedService> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<LoadedService> {
  const [grpc, loader] = await Promise.all([import("@grpc/grpc-js"), import("@grpc/proto-loader")]);
  const definition = await loader.load(join(packageRoot, "src/api/assistant.proto"), { longs: String, defaults: true });
  return {
    grpc,
    definition,
    service: definition[SERVICE_NAME] as ServiceDefinition,
    modelService: definition[MODEL_SERVICE_NAME] as ServiceDefinition,
  };
}
