import { join } from "node:path";
import type { handleBidiStreamingCall, handleUnaryCall, ServiceDefinition } from "@grpc/grpc-js";
import type { PackageDefinition } from "@grpc/proto-loader";
import { packageRoot } from "../core/package.ts";

/** Messages of src/api/open-inference.proto, as the loader's options below make them. 64-bit numbers come as text. */
export interface WireParameter {
  readonly boolParam?: boolean;
  readonly int64Param?: string | number;
  readonly stringParam?: string;
  readonly doubleParam?: number;
  readonly uint64Param?: string | number;
}
export type WireParameters = Readonly<Record<string, WireParameter>>;

export interface WireContents {
  readonly boolContents?: readonly boolean[];
  readonly intContents?: readonly number[];
  readonly int64Contents?: readonly (string | number)[];
  readonly uintContents?: readonly number[];
  readonly uint64Contents?: readonly (string | number)[];
  readonly fp32Contents?: readonly number[];
  readonly fp64Contents?: readonly number[];
  readonly bytesContents?: readonly Buffer[];
}

export interface WireTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly (string | number)[];
  readonly parameters?: WireParameters;
  readonly contents?: WireContents | null;
}

export interface WireInferRequest {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: WireParameters;
  readonly inputs: readonly WireTensor[];
  readonly outputs: readonly { readonly name: string; readonly parameters: WireParameters }[];
  readonly rawInputContents: readonly Buffer[];
  /** Why the message was not decoded; the rest is empty then. */
  readonly refused?: unknown;
}

export interface WireInferResponse {
  readonly modelName?: string;
  readonly modelVersion?: string;
  readonly id?: string;
  readonly parameters?: WireParameters;
  readonly outputs?: readonly WireTensor[];
  readonly rawOutputContents?: readonly Buffer[];
}

export interface WireStreamResponse {
  readonly errorMessage?: string;
  readonly inferResponse?: WireInferResponse;
}

interface NamedModel {
  readonly name: string;
  readonly version: string;
}
interface Metadata extends Omit<NamedModel, "version"> {
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly WireTensor[];
  readonly outputs: readonly WireTensor[];
}
interface RepositoryModelRequest {
  readonly repositoryName: string;
  readonly modelName: string;
}
interface IndexEntry extends NamedModel {
  readonly state: string;
  readonly reason: string;
}

/** By the names that grpc-js uses in addition to those of the definition. */
export interface InferenceHandlers {
  readonly serverLive: handleUnaryCall<object, { readonly live: boolean }>;
  readonly serverReady: handleUnaryCall<object, { readonly ready: boolean }>;
  readonly serverMetadata: handleUnaryCall<object, NamedModel & { readonly extensions: readonly string[] }>;
  readonly modelReady: handleUnaryCall<NamedModel, { readonly ready: boolean }>;
  readonly modelMetadata: handleUnaryCall<NamedModel, Metadata>;
  readonly modelInfer: handleUnaryCall<WireInferRequest, WireInferResponse>;
  readonly modelStreamInfer: handleBidiStreamingCall<WireInferRequest, WireStreamResponse>;
  readonly repositoryIndex: handleUnaryCall<
    { readonly repositoryName: string; readonly ready: boolean },
    { readonly models: readonly IndexEntry[] }
  >;
  readonly repositoryModelLoad: handleUnaryCall<RepositoryModelRequest, { modelName: string; done: boolean }>;
  readonly repositoryModelUnload: handleUnaryCall<RepositoryModelRequest, { modelName: string; done: boolean }>;
}

export const INFERENCE_SERVICE_NAME = "inference.GRPCInferenceService";

/** The definition of the Open Inference Protocol's service. */
export async function loadInferenceService(): Promise<{
  readonly definition: PackageDefinition;
  readonly service: ServiceDefinition;
}> {
  const loader = await import("@grpc/proto-loader");
  const file = join(packageRoot, "src/api/open-inference.proto");
  const definition = await loader.load(file, { longs: String, defaults: true });
  return { definition, service: definition[INFERENCE_SERVICE_NAME] as ServiceDefinition };
}
