import { nearestNames } from "../../../src/core/nearest.ts";

/** What a line of the chat that begins with `/` asks for. */
export type SlashCommand =
  | { readonly type: "bye" }
  | { readonly type: "clear" }
  | { readonly type: "help"; readonly topic: "all" | "set" | "shortcuts" }
  /** Null: show it. */
  | { readonly type: "system"; readonly text: string | null }
  | { readonly type: "parameter"; readonly name: ParameterName; readonly value: number | null }
  | { readonly type: "verbose"; readonly on: boolean }
  | { readonly type: "show" }
  | { readonly type: "mistake"; readonly message: string };

export type ParameterName = "temperature" | "seed" | "maxTokens";

const PARAMETERS: Readonly<Record<string, ParameterName>> = {
  temperature: "temperature",
  seed: "seed",
  max_tokens: "maxTokens",
  num_predict: "maxTokens",
};
const COMMANDS = ["/bye", "/exit", "/clear", "/set", "/show", "/help", "/?"];

const mistake = (message: string): SlashCommand => ({ type: "mistake", message });

/**
 * Reads what was entered; null where it is a message and no command. A path such as `/etc/hosts` is a message, as is the
 * start of a comment in a program. Of the commands, only `/set system` has several lines: others that begin like one
 * were pasted.
 */
export function parseSlash(line: string): SlashCommand | null {
  const text = line.trim();
  const [command = "", ...words] = text.split(/\s+/u);
  if (!/^\/(?:\?|\w+)$/u.test(command)) return null;
  if (text.includes("\n") && !(command === "/set" && words[0] === "system")) return null;
  switch (command) {
    case "/bye":
    case "/exit":
    case "/quit":
      return { type: "bye" };
    case "/clear":
      return { type: "clear" };
    case "/show":
      return { type: "show" };
    case "/?":
    case "/help":
      return {
        type: "help",
        topic: words[0] === "set" || words[0] === "/set" ? "set" : words[0] === "shortcuts" ? "shortcuts" : "all",
      };
    case "/set":
      return parseSet(words, line);
    default: {
      const [nearest] = nearestNames(command, COMMANDS, 1);
      return mistake(
        `There is no command ${command}${nearest === undefined ? "" : `; did you mean ${nearest}`}? /? lists them.`,
      );
    }
  }
}

function parseSet(words: readonly string[], line: string): SlashCommand {
  const [what, ...rest] = words;
  switch (what) {
    case "system": {
      const text = line.slice(line.indexOf("system") + "system".length).trim();
      return { type: "system", text: unquote(text) || null };
    }
    case "verbose":
      return { type: "verbose", on: true };
    case "quiet":
      return { type: "verbose", on: false };
    case "parameter":
      return parseParameter(rest);
    default:
      return mistake("Expected /set system TEXT, /set parameter NAME VALUE, /set verbose or /set quiet.");
  }
}

function parseParameter([name = "", value = ""]: readonly string[]): SlashCommand {
  const parameter = PARAMETERS[name];
  if (parameter === undefined)
    return mistake(`Expected one of ${Object.keys(PARAMETERS).join(", ")}; found "${name}".`);
  if (value === "" || value === "default") return { type: "parameter", name: parameter, value: null };
  const number = Number(value);
  const whole = parameter !== "temperature";
  if (!Number.isFinite(number) || (whole && !Number.isInteger(number)) || (parameter === "temperature" && number < 0)) {
    return mistake(`Expected ${whole ? "a whole number" : "a number from 0 on"} for ${name}; found "${value}".`);
  }
  return { type: "parameter", name: parameter, value: number };
}

const unquote = (text: string): string =>
  /^"""([\s\S]*)"""$/u.exec(text)?.[1]?.trim() ?? /^"(.*)"$/su.exec(text)?.[1] ?? text;

/** The lines that `/?` prints. */
export function helpLines(topic: "all" | "set" | "shortcuts"): string[] {
  const set = [
    "  /set system TEXT            set the system message",
    "  /set parameter NAME VALUE   temperature, seed or max_tokens; without VALUE the model's own",
    "  /set verbose, /set quiet    show counts and speed after each answer, or not",
  ];
  const shortcuts = [
    '  """                         begins and ends a message of several lines',
    "  Alt-Enter, \\ at line end    continue on the next line",
    "  ↑ ↓                         earlier messages",
    "  Ctrl-C                      stop the answer; twice at the prompt: leave",
    "  Ctrl-D                      leave",
  ];
  if (topic === "set") return set;
  if (topic === "shortcuts") return shortcuts;
  return [
    "  /bye                        leave",
    "  /clear                      forget the chat so far",
    "  /show                       the model and the settings",
    ...set,
    "",
    ...shortcuts,
  ];
}
