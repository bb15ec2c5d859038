import type { ReadStream, WriteStream } from "node:tty";
import type { DaemonClient } from "../../../src/client/daemon-client.ts";
import { toAssistantError } from "../../../src/core/errors.ts";
import { printable } from "../../../src/ui/printable.ts";
import { showsColour } from "../cli/colour.ts";
import { reportText } from "../cli/report.ts";
import { streamAnswer } from "./answer.ts";
import { appendHistory, readHistory } from "./history.ts";
import { TerminalPrompt } from "./prompt.ts";
import type { ChatSession } from "./session.ts";
import { helpLines, parseSlash, type SlashCommand } from "./slash.ts";
import { timingLines } from "./timings.ts";
import { WordWrap } from "./word-wrap.ts";

export interface ReplOptions {
  readonly client: Pick<DaemonClient, "chat" | "status">;
  readonly session: ChatSession;
  readonly verbose: boolean;
  readonly historyFile: string;
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly errors: WriteStream;
  readonly debug: boolean;
}

const PROMPT = ">>> ";
const CONTINUATION = "... ";

/**
 * The interactive chat. Returns when its user leaves it. Errors of single answers are shown, and the chat continues.
 */
export class Repl {
  readonly #options: ReplOptions;
  #verbose: boolean;
  readonly #history: string[] = [];
  readonly #prompt: TerminalPrompt;

  constructor(options: ReplOptions) {
    this.#options = options;
    this.#verbose = options.verbose;
    const { input, output } = options;
    this.#prompt = new TerminalPrompt({
      input,
      output,
      prompt: PROMPT,
      continuation: CONTINUATION,
      history: this.#history,
      onLine: (line) => this.#keep(line),
    });
  }

  async run(): Promise<void> {
    this.#history.push(...(await readHistory(this.#options.historyFile)));
    this.#print(`Chatting with ${this.#options.session.settings.model}. /? for help, /bye to leave.`);
    for (;;) {
      const message = await this.#nextMessage();
      if (message === null) return;
      if (message.trim() === "") continue;
      const command = parseSlash(message);
      if (command === null) await this.#answer(message);
      else if (command.type === "bye") return;
      else this.#print(this.#obey(command));
    }
  }

  /** What was typed, over as many lines as it takes; null when the user leaves. */
  async #nextMessage(): Promise<string | null> {
    let interrupts = 0;
    for (;;) {
      const result = await this.#prompt.ask();
      if (result.type === "message") return result.text;
      if (result.type === "end") {
        this.#print("");
        return null;
      }
      // Ctrl-C drops what had been typed; only a second one with nothing typed leaves.
      interrupts = result.empty ? interrupts + 1 : 0;
      if (interrupts >= 2) return null;
      if (interrupts === 1) this.#print("Press Ctrl-C again, or Ctrl-D, to leave.");
    }
  }

  async #answer(text: string): Promise<void> {
    const { client, session, output, errors, debug } = this.#options;
    const stop = new AbortController();
    const onSignal = (): void => stop.abort();
    process.on("SIGINT", onSignal);
    try {
      const answer = await streamAnswer({
        client,
        request: session.request(text),
        signal: stop.signal,
        out: new WordWrap(output),
        progress: errors,
      });
      session.remember(text, answer.text);
      output.write(
        answer.end === "stopped"
          ? session.settings.conversation === null
            ? "\n(stopped)\n\n"
            : "\n(stopped and discarded)\n\n"
          : answer.end === "length"
            ? "\n(cut: the limit of tokens was reached)\n\n"
            : "\n\n",
      );
      if (this.#verbose && answer.timings !== null)
        this.#print(`${timingLines(answer.timings, answer.clock).join("\n")}\n`);
    } catch (error) {
      errors.write(reportText(toAssistantError(error), { colour: showsColour(errors), debug }));
    } finally {
      process.off("SIGINT", onSignal);
    }
  }

  /** Does what a command asks for, and returns what to answer. */
  #obey(command: Exclude<SlashCommand, { type: "bye" }>): string {
    const { session } = this.#options;
    switch (command.type) {
      case "clear":
        if (session.settings.conversation !== null)
          return `The chat is stored as ${session.settings.conversation}; \`assistant run --conversation\` starts another one.`;
        session.clear();
        return "The chat is forgotten.";
      case "help":
        return helpLines(command.topic).join("\n");
      case "system":
        session.setSystem(command.text);
        return command.text === null ? "The system message was removed." : "The system message is set.";
      case "parameter":
        session.setParameter(command.name, command.value);
        return command.value === null
          ? `${command.name} is reset to the model's own.`
          : `${command.name} is ${command.value}.`;
      case "verbose":
        this.#verbose = command.on;
        return command.on ? "Counts and speed are shown." : "Counts and speed are not shown.";
      case "show":
        return showLines(session).join("\n");
      case "mistake":
        return command.message;
    }
  }

  #keep(line: string): void {
    if (line.trim() === "" || this.#history[0] === line) return;
    this.#history.unshift(line);
    void appendHistory(this.#options.historyFile, line);
  }

  #print(text: string): void {
    this.#options.output.write(`${printable(text)}\n`);
  }
}

function showLines(session: ChatSession): string[] {
  const { model, system, temperature, seed, maxTokens, conversation } = session.settings;
  const own = "the model's own";
  return [
    `  model        ${model}`,
    `  system       ${system ?? "none"}`,
    `  temperature  ${temperature ?? own}`,
    `  seed         ${seed ?? own}`,
    `  max_tokens   ${maxTokens ?? own}`,
    `  messages     ${session.length}`,
    ...(conversation === null ? [] : [`  conversation ${conversation}`]),
  ];
}
