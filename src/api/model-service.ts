import type {
  Client,
  ClientReadableStream,
  ClientUnaryCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServiceError,
} from "@grpc/grpc-js";
import type { Sent } from "./assistant-service.ts";

/**
 * Messages of ModelService in src/api/assistant.proto. 64-bit numbers come as text, as the loader's options have it.
 */
interface DescribeRequest {
  readonly model: string;
}

export interface ModelDescription {
  readonly name: string;
  readonly bytes: string;
  readonly sha256: string;
  readonly reference: string;
  readonly licence: string;
  readonly files?: readonly DescribedFile[];
}

export interface DescribedFile {
  readonly name: string;
  readonly role: string;
  readonly bytes: string;
  readonly sha256: string;
}

export interface FetchRequest {
  readonly model: string;
  readonly sha256: string;
  readonly offset: string;
}

export interface FetchPart {
  readonly data: Buffer;
}

export interface ModelHandlers {
  readonly describe: handleUnaryCall<DescribeRequest, Sent<ModelDescription>>;
  readonly fetch: handleServerStreamingCall<FetchRequest, FetchPart>;
}

/** The client that grpc-js makes of the service. */
export interface ModelClient extends Client {
  Describe(
    request: DescribeRequest,
    metadata: Metadata,
    options: { readonly deadline: number },
    callback: (error: ServiceError | null, answer?: ModelDescription) => void,
  ): ClientUnaryCall;
  Fetch(request: FetchRequest, metadata: Metadata): ClientReadableStream<FetchPart>;
}
