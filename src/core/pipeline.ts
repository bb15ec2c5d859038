import type { JsonObject } from "./inference.ts";

/** One stage of a pipeline, as its file describes it. */
export interface StageSpec {
  /** The kind of stage, or the path of a user's module. */
  readonly use: string;
  /** Unique within the pipeline; what reports and errors call it. */
  readonly name: string;
  /** The object of a request that holds this stage's options, such as `TTS`. */
  readonly section: string;
  /** Whether what it writes for the client reaches the client. */
  readonly toClient: boolean;
  /** Its other keys, checked against the schema of its kind; those of a user's module as they were written. */
  readonly settings: JsonObject;
}

/** What starts a run of the pipeline for each message. */
export interface PipelineSourceSpec {
  readonly use: "rabbitmq" | "redis" | "sql";
  /** Requests that are answered at once. */
  readonly concurrency: number;
  readonly settings: JsonObject;
}

/** How a pipeline greets in one voice. */
interface Greeting {
  readonly text: string;
  /** An audio file; null: the pipeline speaks the text. */
  readonly audio: string | null;
}

/** A chain of typed stages with a name, called like a model. One file of the configuration describes it. */
export interface PipelineSpec {
  readonly name: string;
  readonly description: string;
  /** Answers at the root of the pipelines' own listener. */
  readonly isDefault: boolean;
  /** Values that may wait between two stages. */
  readonly queueLength: number;
  /** Requests that it answers at once; further ones wait. */
  readonly maxConcurrency: number;
  readonly stages: readonly StageSpec[];
  readonly source: PipelineSourceSpec | null;
  /** By voice. */
  readonly awake: Readonly<Record<string, Greeting>>;
  readonly file: string;
}
