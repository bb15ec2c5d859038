import { createInterface, type Interface } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import { MessageLines } from "./multiline.ts";

export interface PromptOptions {
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly prompt: string;
  /** Prompt of the second line of a message and those after it. */
  readonly continuation: string;
  /** The newest first. */
  readonly history: readonly string[];
  /** Told every line as it was typed. */
  readonly onLine: (line: string) => void;
}

export type PromptResult =
  | { readonly type: "message"; readonly text: string }
  /** Ctrl-C, which drops what was typed; `empty` when there was nothing. */
  | { readonly type: "interrupt"; readonly empty: boolean }
  /** Ctrl-D. */
  | { readonly type: "end" };

interface Key {
  readonly name?: string;
  readonly meta?: boolean;
  readonly sequence?: string;
}

const PASTE_MODE_ON = "\u001b[?2004h";
const PASTE_MODE_OFF = "\u001b[?2004l";
// Shift-Enter of terminals that tell it apart from Enter.
const SHIFT_ENTER = "\u001b[13;2u";

/**
 * Asks for messages on a terminal. Between two questions the terminal is in its normal mode, so that Ctrl-C is a
 * signal, which stops an answer. What came in one burst with a message (typed ahead, sent by a script) is kept for the
 * next question.
 */
export class TerminalPrompt {
  readonly #options: PromptOptions;
  #aheadLines: string[] = [];
  #aheadText = "";

  constructor(options: PromptOptions) {
    this.#options = options;
  }

  ask(): Promise<PromptResult> {
    const { input, output, prompt, continuation, history } = this.#options;
    const readline = createInterface({
      input,
      output,
      prompt,
      history: [...history],
      historySize: 1000,
      terminal: true,
    });
    const message = new MessageLines();
    return new Promise((resolve) => {
      let result: PromptResult | null = null;
      const keys = new KeyWatch(readline);
      const finish = (next: PromptResult): void => {
        result = next;
        // Not at once: the keys of the same burst are still on their way to this interface.
        setImmediate(() => {
          this.#aheadText = readline.line;
          readline.close();
        });
      };
      const take = (line: string, goesOn: boolean): void => {
        this.#options.onLine(line);
        const added = message.add(line, goesOn);
        if (added.type === "message") finish(added);
        else {
          readline.setPrompt(continuation);
          readline.prompt();
        }
      };
      input.prependListener("keypress", keys.listener);
      readline.on("line", (line) => (result === null ? take(line, keys.takeGoesOn()) : this.#aheadLines.push(line)));
      readline.on("SIGINT", () => {
        const empty = readline.line === "" && !message.pending;
        // The line stays on the screen, but must not come back as typed ahead.
        output.write("\n");
        if (readline.line !== "") {
          readline.write(null, { ctrl: true, name: "e" });
          readline.write(null, { ctrl: true, name: "u" });
        }
        finish({ type: "interrupt", empty });
      });
      readline.once("close", () => {
        input.off("keypress", keys.listener);
        output.write(PASTE_MODE_OFF);
        resolve(result ?? { type: "end" });
      });
      output.write(PASTE_MODE_ON);
      readline.prompt();
      this.#replay(readline);
    });
  }

  /** Types what was typed ahead. */
  #replay(readline: Interface): void {
    const text = [...this.#aheadLines, this.#aheadText].join("\n");
    this.#aheadLines = [];
    this.#aheadText = "";
    if (text !== "") readline.write(text);
  }
}

/**
 * Notices the keys that continue on the next line instead of sending the message. Has to hear of them before readline
 * does.
 */
class KeyWatch {
  readonly #readline: Interface;
  #pasting = false;
  #goesOn = false;

  constructor(readline: Interface) {
    this.#readline = readline;
  }

  readonly listener = (_text: string | undefined, key: Key): void => {
    if (key.name === "paste-start") this.#pasting = true;
    if (key.name === "paste-end") this.#pasting = false;
    if ((key.meta === true && (key.name === "return" || key.name === "enter")) || key.sequence === SHIFT_ENTER) {
      this.#goesOn = true;
      this.#readline.write(null, { name: "return" });
    }
  };

  /** Whether the line that has just ended is not the last of its message. */
  takeGoesOn(): boolean {
    const goesOn = this.#goesOn || this.#pasting;
    this.#goesOn = false;
    return goesOn;
  }
}
