import type { Objects } from "./objects.ts";
import type { InferMessage, Tensor, TensorMap } from "./tensors.ts";

/** Capabilities of a handler, by name. `type` is the name that clients use, `model` its version. */
export type Capability = Readonly<Record<string, string | number | boolean>>;

/** A request, as passed to handlers. */
export class HandlerRequest {
  readonly id: string;
  readonly modelName: string;
  readonly parameters: InferMessage["parameters"];
  readonly inputs: readonly Tensor[];

  constructor({ id, modelName, parameters, tensors }: InferMessage) {
    this.id = id;
    this.modelName = modelName;
    this.parameters = parameters;
    this.inputs = tensors;
  }

  /** Elements of an input; BYTES are buffers. Throws a `TypeError` (a 400 for the client) if there is no such input. */
  get(name: string): Tensor["data"] {
    const found = this.inputs.find((input) => input.name === name);
    if (found !== undefined) return found.data;
    throw new TypeError(
      `The input "${name}" is missing; there are ${this.inputs.map((input) => input.name).join(", ") || "none"}`,
    );
  }

  /** The same, with buffers decoded as UTF-8. */
  texts(name: string): string[] {
    return this.get(name).map((element) => element.toString());
  }
}

/** Target of `context.call`: a model by name, or any model or handler with the capability. */
type CallTarget = { readonly model: string } | { readonly capability: Capability };

export interface HandlerContext {
  readonly replicaId: string;
  readonly capability: Capability;
  /** Aborted when the client has disconnected. */
  readonly signal: AbortSignal;
  /** The daemon's object store. */
  readonly objects: Objects;
  /** Calls a model or another handler through the daemon. Rejects with an `InferenceError`. */
  call(target: CallTarget, inputs: TensorMap): Promise<Readonly<Record<string, Tensor["data"]>>>;
}

/** Receives the parts of a streaming handler's answer. */
export interface HandlerStream {
  /** Resolves when the client can receive more. Throws after `close` or `error`. */
  send(outputs: TensorMap): Promise<void>;
  /** Ends the answer with an error. Throws after `close` or `error`. */
  error(message: string): void;
  close(): void;
}

export type Handler = (request: HandlerRequest, context: HandlerContext) => Promise<TensorMap> | TensorMap;
export type StreamHandler = (
  request: HandlerRequest,
  context: HandlerContext,
  stream: HandlerStream,
) => Promise<void> | void;

/** Handlers with state that is kept between requests, such as a loaded model. */
export interface WorkerHandlers {
  onStart?(context: Pick<HandlerContext, "replicaId" | "objects" | "call">): Promise<void> | void;
  onStop?(): Promise<void> | void;
  readonly handle: Handler;
}

export type Registered = { readonly capability: Capability } & (
  | { readonly streams: false; readonly handle: Handler }
  | { readonly streams: true; readonly handle: StreamHandler }
);

/** The handlers of a module. `assistant worker run module.ts` runs the `app` that the module exports. */
export class WorkerApp {
  readonly #handlers: Registered[] = [];
  readonly #workers: WorkerHandlers[] = [];
  /** Concurrent requests of each process. */
  readonly concurrency: number;

  constructor({ concurrency = 16 }: { readonly concurrency?: number } = {}) {
    this.concurrency = concurrency;
  }

  get handlers(): readonly Registered[] {
    return this.#handlers;
  }
  get workers(): readonly WorkerHandlers[] {
    return this.#workers;
  }

  /** Serves a capability; with `stream: true`, answers are streamed in parts. */
  capability(capability: Capability, handler: Handler): this;
  capability(capability: Capability, options: { readonly stream: true }, handler: StreamHandler): this;
  capability(capability: Capability, ...rest: [Handler] | [{ readonly stream: true }, StreamHandler]): this {
    if (Object.keys(capability).length === 0)
      throw new TypeError('A capability needs at least one key, such as { type: "echo" }');
    const [first, second] = rest;
    if (typeof first === "function") this.#handlers.push({ capability, streams: false, handle: first });
    else if (second !== undefined) this.#handlers.push({ capability, streams: true, handle: second });
    return this;
  }

  /**
   * Serves several capabilities with one handler that starts and stops with the worker. `gpus` is part of each of them.
   */
  worker(
    { capabilities, gpus }: { readonly capabilities: readonly Capability[]; readonly gpus?: number },
    worker: WorkerHandlers,
  ): this {
    this.#workers.push(worker);
    for (const capability of capabilities)
      this.capability(gpus === undefined ? capability : { ...capability, gpus }, (request, context) =>
        worker.handle(request, context),
      );
    return this;
  }

  /** The handler for a name and version: those with that `type` and `model`, else with that `model`. */
  find(name: string, version: string): Registered | undefined {
    const means = ({ capability: { type, model } }: Registered): boolean =>
      type === undefined
        ? String(model) === name
        : String(type) === name && (version === "" || version === "1" || String(model) === version);
    return this.#handlers.find(means) ?? this.#handlers.find(({ capability }) => capability["model"] === name);
  }
}
