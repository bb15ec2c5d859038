import { dirname } from "node:path";
import type { ConfigNotice } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import type { KeyPath, Locator } from "./locate.ts";

/** A parsed configuration file with what is needed to say where something in it stands. */
export interface SourceFile {
  readonly file: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly locator: Locator;
}

/** What stands in for a file that is not there. */
export const noFile = (file: string): SourceFile => ({ file, data: {}, locator: { line: () => null } });

/** A place that a message can name: a key of a file. */
export interface Place {
  readonly source: SourceFile;
  readonly path: KeyPath;
}

/**
 * Collects the errors of a configuration, so that all of them can be fixed at once. A *mistake* invalidates its file:
 * the whole configuration if that is the main file, one model otherwise.
 */
export class Findings {
  readonly #found: Finding[] = [];
  readonly #mistakes: ConfigNotice[] = [];
  readonly #mainFile: string;

  constructor(mainFile: string) {
    this.#mainFile = mainFile;
  }

  /** A mistake where it stands in the main file, an error where it stands in another. */
  problem(place: Place, message: string, consequence = ""): void {
    if (place.source.file === this.#mainFile) this.mistake(place, message + consequence);
    else this.error(place, message, consequence);
  }

  /** A mistake of the main file: the configuration cannot be used. */
  mistake(place: Place, message: string): void {
    this.#mistakes.push(notice("error", place, message));
  }

  /**
   * A part of the configuration cannot be used; the rest is served. `consequence` ends the message if there are no
   * earlier settings of that file.
   */
  error(place: Place, message: string, consequence = ""): void {
    this.#found.push({ notice: notice("error", place, message), consequence });
  }

  /** Something is honoured differently from how it is written. */
  warning(place: Place, message: string): void {
    this.#found.push({ notice: notice("warning", place, message), consequence: "" });
  }

  /** A whole file, for a reason that stands at `line`. */
  fileError(file: string, line: number | null, message: string, consequence = ""): void {
    this.#found.push({ notice: { severity: "error", file, line, key: null, message }, consequence });
  }

  /** Whether something in a model's file, or its directory as a whole, is wrong. */
  isBroken(file: string): boolean {
    const places = [file, dirname(file)];
    return (
      file !== this.#mainFile &&
      this.#found.some(({ notice: { severity, file: where } }) => severity === "error" && places.includes(where))
    );
  }

  /** Everything except mistakes. `kept`: models of broken files that keep earlier settings, by file. */
  notices(kept: ReadonlyMap<string, readonly string[]> = new Map()): ConfigNotice[] {
    return this.#found.map(({ notice: found, consequence }) => {
      const names = [...kept].flatMap(([file, models]) =>
        file === found.file || dirname(file) === found.file ? models : [],
      );
      const end =
        found.severity === "warning" || names.length === 0
          ? consequence
          : `; ${names.join(", ")} ${names.length === 1 ? "keeps its" : "keep their"} last valid settings until this is fixed`;
      return Object.freeze({ ...found, message: found.message + end });
    });
  }

  get mistakes(): readonly ConfigNotice[] {
    return this.#mistakes;
  }

  /** Throws `config_invalid` with all mistakes of the main file, if there are any. */
  throwMistakes(): void {
    const [first] = this.#mistakes;
    if (first === undefined) return;
    const lines = this.#mistakes.map(noticeText);
    const message =
      lines.length === 1
        ? (lines[0] ?? "")
        : `${lines.length} mistakes in the configuration:\n${lines.map((line) => `  ${line}`).join("\n")}`;
    throw new AssistantError("config_invalid", message, {
      cause: new Mistakes(this.#mistakes),
      ...(first.key === null ? {} : { param: first.key }),
      remedy: `Correct ${lines.length === 1 ? "the line" : "these lines"}, then try again; \`assistant init --stdout\` prints a file that is valid.`,
    });
  }
}

interface Finding {
  readonly notice: ConfigNotice;
  readonly consequence: string;
}

/** The cause of a `config_invalid`: what it says, one by one. */
export class Mistakes extends Error {
  readonly notices: readonly ConfigNotice[];

  constructor(notices: readonly ConfigNotice[]) {
    super("mistakes in the configuration");
    this.notices = notices;
  }
}

/**
 * What is wrong with the configuration that could not be loaded, as notices. `configFile`: blamed for what names no
 * file.
 */
export function mistakesOf(error: unknown, configFile: string): readonly ConfigNotice[] {
  const { cause, message } = error as Error;
  return cause instanceof Mistakes
    ? cause.notices
    : [{ severity: "error", file: configFile, line: null, key: null, message }];
}

function notice(severity: ConfigNotice["severity"], { source, path }: Place, message: string): ConfigNotice {
  return Object.freeze({
    severity,
    file: source.file,
    line: source.locator.line(path),
    key: path.length === 0 ? null : dottedKey(path),
    message,
  });
}

/** `file:line: key: message`, the way compilers write it, so that editors can jump there. */
export function noticeText({ file, line, key, message }: Omit<ConfigNotice, "severity">): string {
  return [line === null ? file : `${file}:${line}`, ...(key === null ? [] : [key]), message].join(": ");
}

/** `llama_servers[0].port`; parts that TOML would need to quote are quoted. */
export function dottedKey(path: KeyPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += `${text === "" ? "" : "."}${/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)}`;
  }
  return text;
}

/** `file:line` of a place, for messages that name a second one. */
export function placeText({ source, path }: Place): string {
  const line = source.locator.line(path);
  return line === null ? source.file : `${source.file}:${line}`;
}
