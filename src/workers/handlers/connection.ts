import { decodeMessage, encodeBinary, HEADER_LENGTH, type InferMessage, type Tensor } from "./tensors.ts";

/** A server that cannot be reached, or a request that it refuses. */
export class InferenceError extends Error {
  /** HTTP status, or what a status of gRPC means in HTTP; null: it was not reached. */
  readonly status: number | null;

  constructor(message: string, status: number | null, cause?: unknown) {
    super(message, { cause });
    this.name = "InferenceError";
    this.status = status;
  }
}

/** The request and its target: a model, or a worker with the capabilities in `headers`. */
export interface Inference {
  readonly model: string | null;
  readonly version: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tensors: readonly Tensor[];
  readonly signal: AbortSignal | undefined;
}

/** A way to a server of the Open Inference Protocol. Calls reject with an `InferenceError`. */
export interface Connection {
  infer(inference: Inference): Promise<InferMessage>;
  isAlive(): Promise<boolean>;
  isModelReady(model: string): Promise<boolean>;
  close(): void;
}

/** Over HTTP. */
export class HttpConnection implements Connection {
  readonly #url: string;
  readonly #credential: Readonly<Record<string, string>>;

  constructor(url: string, credential: Readonly<Record<string, string>>) {
    this.#url = url;
    this.#credential = credential;
  }

  async infer({ model, version, headers, tensors, signal }: Inference): Promise<InferMessage> {
    const versioned = version === "" ? "" : `/versions/${encodeURIComponent(version)}`;
    const path = model === null ? "/infer/json" : `/v2/models/${encodeURIComponent(model)}${versioned}/infer`;
    const { bytes, headBytes } = encodeBinary({ parameters: { binary_data_output: true } }, "inputs", tensors);
    const answer = await this.#ask(path, {
      method: "POST",
      headers: { "content-type": "application/octet-stream", [HEADER_LENGTH]: String(headBytes), ...headers },
      body: new Uint8Array(bytes),
      ...(signal === undefined ? {} : { signal }),
    });
    const body = Buffer.from(await answer.arrayBuffer());
    return decodeMessage(body, Number(answer.headers.get(HEADER_LENGTH) ?? body.length), "outputs");
  }

  isAlive(): Promise<boolean> {
    return this.#answers("/v2/health/live");
  }

  isModelReady(model: string): Promise<boolean> {
    return this.#answers(`/v2/models/${encodeURIComponent(model)}/ready`);
  }

  close(): void {}

  #answers(path: string): Promise<boolean> {
    return this.#ask(path, {}).then(
      () => true,
      () => false,
    );
  }

  #ask(path: string, init: RequestInit): Promise<Response> {
    return fetched(`${this.#url}${path}`, { ...init, headers: { ...(init.headers as object), ...this.#credential } });
  }
}

/** Rejects with an `InferenceError` unless the status is one of success. */
export async function fetched(url: string, init: RequestInit): Promise<Response> {
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
