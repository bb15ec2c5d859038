import type { JsonObject } from "../core/inference.ts";
import type { ModelCalls } from "./model-calls.ts";

/**
 * A stage's output for the client: a frame of the answer. `text` has a string, `audio` the bytes of an audio file,
 * other types (`info`, `image`, …) any JSON.
 */
export interface ClientPart {
  readonly type: string;
  readonly chunk: unknown;
}

/** One step of a stage's work: a value for the next stage, a part for the client, or both. */
export interface StageOutput {
  readonly next?: unknown;
  readonly client?: ClientPart;
}

/**
 * The caller's conversations in the service behind a stage. Each method rejects with `stage_failed` and the service's
 * message.
 */
export interface StageConversations {
  /** The newest first; `lastId`: those behind it, null: from the first on. */
  list(user: string, lastId: string | null, limit: number): Promise<unknown>;
  messages(user: string, id: string): Promise<unknown>;
  /** Questions that might follow the last answer. */
  suggested(user: string, id: string): Promise<unknown>;
  rename(user: string, id: string, name: string): Promise<unknown>;
  delete(user: string, id: string): Promise<unknown>;
}

/** The conversation that a request continues, stored by the daemon. */
export interface StageMemory {
  /** A chat request behind what was said before. Rejects with `conversation_not_found`. */
  continued(request: JsonObject): Promise<JsonObject>;
  /** Adds what was asked and answered, at once. */
  keep(request: JsonObject, answer: string): Promise<void>;
}

/** A stage's information about its request. */
export interface StageContext {
  readonly requestId: string;
  readonly user: string;
  /** The whole request, with the fields that no schema names. */
  readonly request: JsonObject;
  /** The object of the request for this stage; empty if there is none. */
  readonly options: JsonObject;
  /**
   * The messages of a chat, for the stage that the request enters at; null: it came another way, or this is a later
   * stage.
   */
  readonly messages: readonly unknown[] | null;
  /**
   * Fields of a chat that shape its answer, such as `temperature`, for the first stage that asks a model; else empty.
   */
  readonly generation: JsonObject;
  /** For the first stage that asks a model, where the request names a conversation; else null. */
  readonly memory: StageMemory | null;
  /** Aborted when the client has left, another stage has failed, or the pipeline ends. */
  readonly signal: AbortSignal;
  /** Models of this daemon, called on behalf of the pipeline's caller. */
  readonly models: ModelCalls;
}

/**
 * A stage of a pipeline: turns the values of the stage before it into those of the next one. All stages of a request
 * run at once, joined by bounded queues; each keeps its order. One object serves all requests, so that state belongs
 * into `run`.
 */
export interface Stage {
  /** Type of the values it takes, such as `text`, `audio` or `json`. Adjacent stages must agree exactly. */
  readonly accepts: string;
  /** Type of the values it passes on. */
  readonly emits: string;
  /** It asks a model, whose answer the parameters of a chat shape. Missing: it does not. */
  readonly asksModel?: boolean;
  /** It passes on what it takes, as sinks do: the answer is that of the stage before it. Missing: it does not. */
  readonly isSink?: boolean;
  /** Missing: the stage's service keeps none. */
  readonly conversations?: StageConversations;
  /** One request. Ends once `input` has ended and everything is passed on; throws what went wrong. */
  run(input: AsyncIterable<unknown>, context: StageContext): AsyncIterable<StageOutput>;
  /** Prepares what the first request would wait for. Rejects with why the stage cannot work. */
  startup?(): Promise<void>;
  /** Whether what the stage depends on answers. Rejects with why not. */
  heartbeat?(): Promise<void>;
  /** The pipeline is not used any longer. */
  close?(): Promise<void>;
}

/** A stage with what its pipeline's file says of it. */
export interface NamedStage extends Stage {
  readonly name: string;
  readonly section: string;
  readonly toClient: boolean;
}

/** What a user's module exports as `createStage`. `settings`: the keys of its stage in the pipeline's file. */
export type StageFactory = (settings: JsonObject) => Stage | Promise<Stage>;
