/**
 * What the fake engine does wrong, and how fast it is. Given as JSON in FAKE_ENGINE, as flags (`--decode-delay-ms 5`),
 * at run time by `POST /__knobs`, or for one request by a directive in its prompt: `[[fake {"tokens":3}]]`.
 */
export interface Knobs {
  /** Requests decoded at once; the others wait inside the engine. */
  readonly slots: number;
  /** Context of one slot, tokens; a longer prompt is refused as llama-server does. */
  readonly contextTokens: number;
  /** Tokens of an answer whose request sets no `max_tokens`. */
  readonly tokens: number;
  readonly decodeDelayMs: number;
  /** 0: the prompt takes no time. */
  readonly prefillTokensPerSecond: number;
  /** Before the socket exists. */
  readonly listenDelayMs: number;
  /** Time with a socket that answers "loading". */
  readonly startDelayMs: number;
  /** Answers "loading" until this is turned off. */
  readonly loading: boolean;
  /** Streams stop after their first token until this is turned off. At run time only. */
  readonly hold: boolean;
  /** Ends at start with this code, after printing `exitText` on stderr. */
  readonly exitAtStart: number | null;
  readonly exitText: string;
  /** Fails as a server does whose address is in use. */
  readonly socketTaken: boolean;
  /** A grandchild that outlives the engine keeps its stdout and stderr open. */
  readonly holdPipe: boolean;
  readonly ignoreSigterm: boolean;
  /** Between SIGTERM and the exit: memory that is slow to come back. */
  readonly slowExitMs: number;
  /** Inference requests are read and never answered. */
  readonly hangBeforeHeaders: boolean;
  /** Health and slots answer; a request takes its slot and makes no progress. */
  readonly wedged: boolean;
  /** `/slots` is never answered. */
  readonly slotsHang: boolean;
  /** `/health` is never answered. */
  readonly healthHang: boolean;
  /** The whole process dies (SIGKILL) after this many tokens of a request. */
  readonly dieAfterTokens: number | null;
  /** The connection breaks after this many tokens; the engine lives on. (A Unix socket knows no reset.) */
  readonly resetAfterTokens: number | null;
  /** Sends half of the next chunk after this many tokens, then nothing. */
  readonly stallAfterTokens: number | null;
  /** A chunk after the first token is no JSON. */
  readonly malformedJson: boolean;
  /** Inference requests are refused with this status. */
  readonly failStatus: number | null;
  /** Whether work stops when its client leaves, as our patched build does. */
  readonly noticesDisconnects: boolean;
  /** Otherwise: as a stock llama-server, which looks for its client only when it has something to write. */
  readonly noticesWhenWriting: boolean;
  /** Where slots are saved and restored; "": they cannot be, as without --slot-save-path. */
  readonly slotDir: string;
  /**
   * Prompts kept in host memory when they lose their slot, as our patched build keeps and saves them; 0: as a stock
   * one, none can be saved.
   */
  readonly hostCache: number;
  /** A save is never answered. */
  readonly slotSaveHang: boolean;
  /** Text of every token, for tests of long or non-ASCII chunks. */
  readonly tokenText: string;
}

export const defaultKnobs: Knobs = {
  slots: 2,
  contextTokens: 4096,
  tokens: 8,
  decodeDelayMs: 0,
  prefillTokensPerSecond: 0,
  listenDelayMs: 0,
  startDelayMs: 0,
  loading: false,
  hold: false,
  exitAtStart: null,
  exitText: "error: failed to load model",
  socketTaken: false,
  holdPipe: false,
  ignoreSigterm: false,
  slowExitMs: 0,
  hangBeforeHeaders: false,
  wedged: false,
  slotsHang: false,
  healthHang: false,
  dieAfterTokens: null,
  resetAfterTokens: null,
  stallAfterTokens: null,
  malformedJson: false,
  failStatus: null,
  noticesDisconnects: true,
  noticesWhenWriting: false,
  slotDir: "",
  hostCache: 0,
  slotSaveHang: false,
  tokenText: "",
};

/** Flags and FAKE_ENGINE over the defaults. Throws on a knob that does not exist: a typo must not pass a test. */
export function readKnobs(argv: readonly string[], env: string | undefined): { socket: string; knobs: Knobs } {
  let socket = "";
  const flags: Record<string, unknown> = {};
  for (let index = 0; index < argv.length; index += 2) {
    const flag = argv[index] ?? "";
    const value = argv[index + 1] ?? "";
    if (flag === "--socket") socket = value;
    else
      flags[flag.replace(/^--/, "").replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())] = jsonOr(value);
  }
  if (!socket) throw new Error("usage: main.ts --socket PATH [--knob value]…");
  return { socket, knobs: withKnobs(withKnobs(defaultKnobs, env ? (JSON.parse(env) as object) : {}), flags) };
}

export function withKnobs(base: Knobs, changes: object): Knobs {
  for (const name of Object.keys(changes))
    if (!(name in defaultKnobs)) throw new Error(`the fake engine has no knob ${name}`);
  return { ...base, ...changes };
}

const directive = /\[\[fake (\{.*?\})\]\]/;

/** The knobs of one request: its prompt may carry a directive. */
export function knobsForPrompt(base: Knobs, prompt: string): Knobs {
  const found = directive.exec(prompt.replaceAll('\\"', '"'))?.[1];
  return found ? withKnobs(base, JSON.parse(found) as object) : base;
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
