import { decodeMessage, encodeBinary, HEADER_LENGTH, type Tensor, type TensorMap, tensorsOf } from "./tensors.ts";
import type { Capability } from "./worker-app.ts";

/** Either where to ask, or where to find out who offers a capability. */
export type ClientOptions = { readonly apiKey?: string } & (
  | { readonly endpoint: string; readonly apiServer?: undefined; readonly capability?: undefined }
  | { readonly apiServer: string; readonly capability: Capability; readonly endpoint?: undefined }
);

const DISCOVERY_TIMEOUT_MS = 5_000;

/** A server that cannot be reached, or a request that it refuses. */
export class InferenceError extends Error {
  /** HTTP status; null: it was not reached. */
  readonly status: number | null;

  constructor(message: string, status: number | null, cause?: unknown) {
    super(message, { cause });
    this.name = "InferenceError";
    this.status = status;
  }
}

/** Calls handlers and models over the Open Inference Protocol: at an address, or wherever a capability is offered. */
export class Client {
  readonly mode: "direct" | "discovery";
  readonly #options: ClientOptions;
  #endpoint: string | null;
  #replicaId: string | null = null;

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
    this.mode = options.endpoint === undefined ? "discovery" : "direct";
    this.#endpoint = options.endpoint === undefined ? null : httpOf(options.endpoint);
  }

  /** Where requests go; null before it was found out. */
  get endpoint(): string | null {
    return this.#endpoint;
  }
  get replicaId(): string | null {
    return this.#replicaId;
  }

  /**
   * Asks a model, and returns its outputs by name; those of BYTES are buffers. In discovery mode a server that cannot be
   * reached, or has failed, is looked for again, once. Rejects with an `InferenceError`.
   */
  async infer(
    model: string,
    inputs: TensorMap,
    {
      version = "",
      retryOnFailure = true,
      signal,
    }: { readonly version?: string; readonly retryOnFailure?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Readonly<Record<string, Tensor["data"]>>> {
    const path = `/v2/models/${encodeURIComponent(model)}${version === "" ? "" : `/versions/${encodeURIComponent(version)}`}/infer`;
    const ask = () => this.#infer(path, inputs, { "content-type": "application/octet-stream" }, signal);
    return await ask().catch((error: unknown) => {
      const { status } = error as InferenceError;
      const mayPass = status === null || status >= 500 || status === 404;
      if (this.mode === "direct" || !retryOnFailure || !mayPass || signal?.aborted === true) throw error;
      this.#endpoint = null;
      return ask();
    });
  }

  async #infer(
    path: string,
    inputs: TensorMap,
    headers: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, Tensor["data"]>>> {
    const { bytes, headBytes } = encodeBinary(
      { parameters: { binary_data_output: true } },
      "inputs",
      tensorsOf(inputs),
    );
    const answer = await this.#ask(path, {
      method: "POST",
      headers: { ...headers, [HEADER_LENGTH]: String(headBytes) },
      body: new Uint8Array(bytes),
      ...(signal === undefined ? {} : { signal }),
    });
    const body = Buffer.from(await answer.arrayBuffer());
    const { tensors } = decodeMessage(body, Number(answer.headers.get(HEADER_LENGTH) ?? body.length), "outputs");
    return Object.fromEntries(tensors.map(({ name, data }) => [name, data]));
  }

  /** Asks whoever offers a capability, through a daemon. `from`: a replica that does not get it back. */
  async inferCapability(
    capability: Capability,
    inputs: TensorMap,
    from?: string,
  ): Promise<Readonly<Record<string, Tensor["data"]>>> {
    const headers: Record<string, string> = { "content-type": "application/octet-stream" };
    for (const [key, value] of Object.entries(capability))
      headers[`x-capability-${key.replaceAll("_", "-")}`] = String(value);
    if (from !== undefined) Object.assign(headers, { "x-delegated-from": from, "x-delegation-depth": "1" });
    return await this.#infer("/infer/json", inputs, headers);
  }

  async isAlive(): Promise<boolean> {
    return await this.#ask("/v2/health/live", {}).then(
      () => true,
      () => false,
    );
  }

  async isModelReady(model: string): Promise<boolean> {
    return await this.#ask(`/v2/models/${encodeURIComponent(model)}/ready`, {}).then(
      () => true,
      () => false,
    );
  }

  /** Forgets what was found out. */
  close(): void {
    if (this.mode === "discovery") this.#endpoint = null;
  }

  async #ask(path: string, init: RequestInit): Promise<Response> {
    this.#endpoint ??= await this.#discover();
    return await fetched(`${this.#endpoint}${path}`, {
      ...init,
      headers: { ...(init.headers as object), ...this.#credential() },
    });
  }

  async #discover(): Promise<string> {
    const { apiServer = "", capability = {} } = this.#options;
    const query = new URLSearchParams(
      Object.entries(capability).map(([key, value]): [string, string] => [key, String(value)]),
    );
    const signal = AbortSignal.timeout(DISCOVERY_TIMEOUT_MS);
    const answer = await fetched(`${apiServer.replace(/\/+$/, "")}/route?${query}`, {
      signal,
      headers: { ...this.#credential(), accept: "application/json" },
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
    return httpOf(found.http_endpoint ?? found.endpoint);
  }

  #credential(): Record<string, string> {
    return this.#options.apiKey === undefined ? {} : { authorization: `Bearer ${this.#options.apiKey}` };
  }
}

const httpOf = (endpoint: string): string =>
  (/^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`).replace(/\/+$/, "");

async function fetched(url: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, init);
  } catch (cause) {
    throw new InferenceError(`${new URL(url).origin} cannot be reached`, null, cause);
  }
  if (answer.ok) return answer;
  throw new InferenceError(
    `${new URL(url).pathname} answered with status ${answer.status}: ${(await answer.text()).slice(0, 500)}`,
    answer.status,
  );
}
