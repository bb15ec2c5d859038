import type { Prompt } from "../core/inference.ts";
import type { Dispatcher, FinishedRequest, PromptFacts } from "../core/request.ts";
import type { Tracer } from "../core/trace.ts";
import type { Tenancy } from "./cache-scope.ts";
import type { ModelDirectory } from "./resolve.ts";
import type { SignalTimes } from "./waiting.ts";

/** The methods of a pino logger that are used here. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Writes the line of a finished request. */
export type RequestLog = (level: "info" | "warn", fields: FinishedRequest) => void;

/** Length and prefixes of a prompt. Prompts of different cache scopes share no prefix. */
export type Fingerprint = (prompt: Prompt, scope: string) => PromptFacts;

export interface InferencePorts {
  readonly dispatcher: Dispatcher;
  readonly directory: ModelDirectory;
  /** Read for every call. */
  readonly tenancy: () => Tenancy;
  readonly log: Log;
  /** Default: `log`, with the message "request". */
  readonly logRequest?: RequestLog;
  /** Maximum messages of a chat; read for every call. Default: no limit. */
  readonly maxMessages?: () => number;
  /** Default: the prompt's length, and no prefixes. */
  readonly fingerprint?: Fingerprint;
  /** Traces calls that belong to no trace yet. Default: none. */
  readonly tracer?: Tracer | null;
  /** Default: after 2 s of waiting, then every 5 s. */
  readonly signalTimes?: SignalTimes;
}
