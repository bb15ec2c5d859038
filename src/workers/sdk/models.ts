import { setTimeout as sleep } from "node:timers/promises";
import type { ChatRecord, CompletionInterface, GeneralProcessInterface, RequestContext } from "./records.ts";
import { lastUserText, numberArg, textArg } from "./records.ts";

type Args = Readonly<Record<string, unknown>>;

const CHARACTER_MS = 20;

async function* slowly(text: string, pauseMs: number, { signal }: RequestContext): AsyncGenerator<string> {
  for (const character of text) {
    await sleep(pauseMs, undefined, { signal });
    yield character;
  }
}

/** Always returns the same text, a character every 20 ms. `args`: `content`. */
export class DummyModel implements CompletionInterface {
  readonly #content: string;

  constructor(args: Args = {}) {
    this.#content = textArg(args, "content", "I'm a dummy model.");
  }

  complete(_: readonly ChatRecord[], context: RequestContext): AsyncGenerator<string> {
    return slowly(this.#content, CHARACTER_MS, context);
  }
}

/** Repeats the user's last message. */
export class ReflectModel implements CompletionInterface {
  *complete(history: readonly ChatRecord[]): Generator<ChatRecord> {
    yield { role: "bot", msg: lastUserText(history) };
  }
}

/** Repeats the user's last message, a character every `delay_sec` seconds. */
export class SlowReflectProcess implements GeneralProcessInterface {
  readonly #pauseMs: number;

  constructor(args: Args = {}) {
    this.#pauseMs = numberArg(args, "delay_sec", 1, 0) * 1000;
  }

  process(history: readonly ChatRecord[], context: RequestContext): AsyncGenerator<string> {
    return slowly(lastUserText(history), this.#pauseMs, context);
  }
}
