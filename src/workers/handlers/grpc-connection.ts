import { type Client, credentials, Metadata, makeGenericClientConstructor, type ServiceError } from "@grpc/grpc-js";
import { INFERENCE_SERVICE_NAME, loadInferenceService, type WireInferResponse } from "../../api/inference-service.ts";
import { bodyOfResponse, messageOfBody } from "../../upstreams/kserve/codec.ts";
import { type Connection, type Inference, InferenceError } from "./connection.ts";
import { decodeMessage, encodeBinary, type InferMessage } from "./tensors.ts";

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  callback: (error: ServiceError | null, answer?: Response) => void,
) => { cancel(): void };

interface InferenceClient extends Client {
  ServerLive: Unary<object, { readonly live: boolean }>;
  ModelReady: Unary<{ readonly name: string }, { readonly ready: boolean }>;
  ModelInfer: Unary<object, WireInferResponse>;
}

/** Statuses of gRPC as those of HTTP; UNAVAILABLE: not reached. Others are faults of the server. */
const HTTP_STATUS: Readonly<Record<number, number | null>> = {
  ...{ 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 11: 400, 12: 501, 14: null, 16: 401 },
};
const MAX_BYTES = -1;

/** Over gRPC. */
export class GrpcConnection implements Connection {
  readonly #address: string;
  readonly #client: InferenceClient;
  readonly #credential: Readonly<Record<string, string>>;

  private constructor(address: string, client: InferenceClient, credential: Readonly<Record<string, string>>) {
    this.#address = address;
    this.#client = client;
    this.#credential = credential;
  }

  /** `address`: `HOST:PORT`. */
  static async open(address: string, credential: Readonly<Record<string, string>>): Promise<GrpcConnection> {
    const { service } = await loadInferenceService();
    const Made = makeGenericClientConstructor(service, INFERENCE_SERVICE_NAME);
    const client = new Made(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": MAX_BYTES,
      "grpc.max_send_message_length": MAX_BYTES,
      "grpc.enable_http_proxy": 0,
    });
    return new GrpcConnection(address, client as unknown as InferenceClient, credential);
  }

  async infer({ model, version, headers, tensors, signal }: Inference): Promise<InferMessage> {
    const { bytes, headBytes } = encodeBinary({}, "inputs", tensors);
    const json = JSON.parse(bytes.toString("utf8", 0, headBytes)) as Readonly<Record<string, unknown>>;
    const message = { ...messageOfBody({ bytes, json, headBytes }), modelName: model ?? "", modelVersion: version };
    const answer = bodyOfResponse(await this.#call("ModelInfer", message, headers, signal));
    return decodeMessage(answer.bytes, answer.headBytes, "outputs");
  }

  async isAlive(): Promise<boolean> {
    return await this.#call("ServerLive", {}).then(
      ({ live }) => live,
      () => false,
    );
  }

  async isModelReady(name: string): Promise<boolean> {
    return await this.#call("ModelReady", { name, version: "" }).then(
      ({ ready }) => ready,
      () => false,
    );
  }

  close(): void {
    this.#client.close();
  }

  #call<Name extends "ServerLive" | "ModelReady" | "ModelInfer">(
    name: Name,
    request: object,
    headers: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
  ): Promise<AnswerOf<InferenceClient[Name]>> {
    const metadata = new Metadata();
    for (const [key, value] of Object.entries({ ...headers, ...this.#credential })) metadata.set(key, value);
    return new Promise((resolve, reject) => {
      const method = this.#client[name].bind(this.#client) as Unary<object, AnswerOf<InferenceClient[Name]>>;
      const running = method(request, metadata, (error, answer) => {
        signal?.removeEventListener("abort", cancel);
        if (error === null && answer !== undefined) resolve(answer);
        else reject(this.#failure(error, signal));
      });
      const cancel = (): void => running.cancel();
      signal?.addEventListener("abort", cancel, { once: true });
      if (signal?.aborted === true) cancel();
    });
  }

  #failure(error: ServiceError | null, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    const status = HTTP_STATUS[error?.code ?? 0];
    if (status === null) return new InferenceError(`${this.#address} cannot be reached`, null, error);
    return new InferenceError(`${this.#address} failed: ${error?.details ?? "no answer"}`, status ?? 500, error);
  }
}

type AnswerOf<Method> = Method extends Unary<never, infer Answer> ? Answer : never;
