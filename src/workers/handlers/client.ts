import { type Connection, fetched, HttpConnection, type Inference, InferenceError } from "./connection.ts";
import { type Tensor, type TensorMap, tensorsOf } from "./tensors.ts";
import type { Capability } from "./worker-app.ts";

export { InferenceError };

/** Either an endpoint (`http://HOST:PORT`, or `HOST:PORT` for gRPC), or a daemon that finds one for a capability. */
export type ClientOptions = { readonly apiKey?: string } & (
  | { readonly endpoint: string; readonly apiServer?: undefined; readonly capability?: undefined }
  | { readonly apiServer: string; readonly capability: Capability; readonly endpoint?: undefined }
);

type Outputs = Readonly<Record<string, Tensor["data"]>>;

const DISCOVERY_TIMEOUT_MS = 5_000;

/** Calls handlers and models over the Open Inference Protocol, at an endpoint or wherever a capability is offered. */
export class Client {
  readonly mode: "direct" | "discovery";
  readonly #options: ClientOptions;
  readonly #credential: Readonly<Record<string, string>>;
  #endpoint: string | null;
  #replicaId: string | null = null;
  #connection: Promise<Connection> | null = null;

  /** Throws a `TypeError` unless there is either an endpoint, or an API server and a capability. */
  constructor(options: ClientOptions) {
    const { endpoint, apiServer, capability } = options as Partial<
      Record<keyof ClientOptions | "apiServer" | "capability", unknown>
    >;
    if ((endpoint === undefined) === (apiServer === undefined))
      throw new TypeError("Give either an endpoint or an API server");
    if (apiServer !== undefined && Object.keys((capability as object | undefined) ?? {}).length === 0)
      throw new TypeError("An API server needs a capability to look for");
    this.#options = options;
    this.#credential = options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` };
    this.mode = options.endpoint === undefined ? "discovery" : "direct";
    this.#endpoint = options.endpoint === undefined ? null : plain(options.endpoint);
  }

  /** Destination of requests; null before the first lookup. */
  get endpoint(): string | null {
    return this.#endpoint;
  }
  get replicaId(): string | null {
    return this.#replicaId;
  }

  /**
   * Calls a model and resolves with its outputs by name; BYTES are buffers. With an `apiServer`, the endpoint is looked
   * up again once if a server cannot be reached or fails. Rejects with an `InferenceError`.
   */
  async infer(
    model: string,
    inputs: TensorMap,
    {
      version = "",
      retryOnFailure = true,
      signal,
    }: { readonly version?: string; readonly retryOnFailure?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Outputs> {
    const ask = () => this.#infer({ model, version, headers: {}, tensors: tensorsOf(inputs), signal });
    return await ask().catch((error: unknown) => {
      const { status } = error as InferenceError;
      const mayPass = status === null || status >= 500 || status === 404;
      if (this.mode === "direct" || !retryOnFailure || !mayPass || signal?.aborted === true) throw error;
      this.close();
      return ask();
    });
  }

  /** Calls a replica with a capability through a daemon. `from`: the calling replica, which is excluded. */
  async inferCapability(capability: Capability, inputs: TensorMap, from?: string): Promise<Outputs> {
    const headers: Record<string, string> = {};
    for (const [key, value] of Object.entries(capability))
      headers[`x-capability-${key.replaceAll("_", "-")}`] = String(value);
    if (from !== undefined) Object.assign(headers, { "x-delegated-from": from, "x-delegation-depth": "1" });
    return await this.#infer({ model: null, version: "", headers, tensors: tensorsOf(inputs), signal: undefined });
  }

  async isAlive(): Promise<boolean> {
    return await this.#connect().then(
      (connection) => connection.isAlive(),
      () => false,
    );
  }

  async isModelReady(model: string): Promise<boolean> {
    return await this.#connect().then(
      (connection) => connection.isModelReady(model),
      () => false,
    );
  }

  /** Closes the connection and forgets the endpoint. The next call opens it again. */
  close(): void {
    this.#connection?.then((connection) => connection.close()).catch(() => {});
    this.#connection = null;
    if (this.mode === "discovery") this.#endpoint = null;
  }

  async #infer(inference: Inference): Promise<Outputs> {
    const { tensors } = await (await this.#connect()).infer(inference);
    return Object.fromEntries(tensors.map(({ name, data }) => [name, data]));
  }

  /** If it cannot be opened, the next call tries again. */
  #connect(): Promise<Connection> {
    if (this.#connection !== null) return this.#connection;
    const opening = this.#open();
    this.#connection = opening;
    opening.catch(() => {
      if (this.#connection === opening) this.#connection = null;
    });
    return opening;
  }

  async #open(): Promise<Connection> {
    this.#endpoint ??= await this.#discover();
    if (/^https?:/.test(this.#endpoint)) return new HttpConnection(this.#endpoint, this.#credential);
    const { GrpcConnection } = await import("./grpc-connection.ts");
    return await GrpcConnection.open(this.#endpoint, this.#credential);
  }

  async #discover(): Promise<string> {
    const { apiServer = "", capability = {} } = this.#options;
    const query = new URLSearchParams(
      Object.entries(capability).map(([key, value]): [string, string] => [key, String(value)]),
    );
    const signal = AbortSignal.timeout(DISCOVERY_TIMEOUT_MS);
    const answer = await fetched(`${apiServer.replace(/\/+$/, "")}/route?${query}`, {
      signal,
      headers: { ...this.#credential, accept: "application/json" },
    }).catch((error: unknown) => {
      if ((error as InferenceError).status !== 404) throw error;
      throw new InferenceError(`No matching replica for: ${JSON.stringify(capability)}`, 404, error);
    });
    const found = (await answer.json()) as {
      readonly http_endpoint?: string;
      readonly endpoint: string;
      readonly replica_id: string;
    };
    this.#replicaId = found.replica_id;
    return plain(found.http_endpoint ?? found.endpoint);
  }
}

const plain = (endpoint: string): string => endpoint.replace(/^grpc:\/\//, "").replace(/\/+$/, "");
