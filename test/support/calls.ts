import { Cancellation } from "../../src/core/cancellation.ts";
import type { AssistantError } from "../../src/core/errors.ts";
import type { AnswerSink, InferenceCall } from "../../src/core/inference.ts";
import type { Sending, Upstream } from "../../src/core/upstream.ts";
import { testModel } from "./fake-engine.ts";

/** A chat call as a feature inside the daemon would make it. */
export function chatCall(changes: Partial<InferenceCall> = {}): InferenceCall {
  const json = { model: "river", messages: [{ role: "user", content: "Name three rivers." }] };
  return {
    id: "call-1",
    caller: { tenant: "local", models: null },
    route: "/test",
    arrivedAt: performance.now(),
    cancellation: new Cancellation(),
    selector: { model: "river", among: null },
    operation: "chat",
    wire: "openai.chat",
    body: { bytes: Buffer.from(JSON.stringify(json)), json },
    prompt: { messages: json.messages },
    streamed: false,
    maxTokens: null,
    priority: 50,
    deadlineAt: null,
    hops: [],
    cachePart: null,
    ...changes,
  };
}

/** One attempt to have a call answered, as the inference core makes it. */
export function sendingOf(
  call: InferenceCall,
  changes: Partial<Sending> = {},
): Sending & { readonly firstTokens: boolean[] } {
  const firstTokens: boolean[] = [];
  const scope = { name: "", isContested: false };
  const onFirstToken = (whole: boolean): void => void firstTokens.push(whole);
  return {
    call,
    model: testModel({ name: "river" }),
    scope,
    headers: ["x-test", "1"],
    lost: new Cancellation(),
    onFirstToken,
    firstTokens,
    ...changes,
  };
}

/** Keeps everything that an answer brings. */
export class RecordingSink implements AnswerSink {
  readonly takesFramed = false;
  readonly parts: Buffer[] = [];
  readonly waits: string[] = [];
  status: number | null = null;
  headers: readonly string[] = [];
  /** Takes what it is given, but asks for a break after each part. */
  isSlow = false;
  /** Callbacks of those who wait for a slow sink. */
  readonly waiters: (() => void)[] = [];
  /** How it ended; null: it has not. */
  ending: "end" | "abort" | AssistantError | null = null;

  get text(): string {
    return Buffer.concat(this.parts).toString();
  }

  head(status: number, headers: readonly string[]): void {
    if (this.status !== null) return;
    this.status = status;
    this.headers = headers;
  }
  chunk(payload: Buffer): boolean {
    this.parts.push(payload);
    return !this.isSlow;
  }
  framed(): boolean {
    throw new Error("this sink takes no chunk framing");
  }
  onDrain(callback: () => void): void {
    this.waiters.push(callback);
  }
  end(last?: Buffer): void {
    if (last !== undefined) this.chunk(last);
    this.#ended("end");
  }
  endFramed(): void {
    throw new Error("this sink takes no chunk framing");
  }
  fail(error: AssistantError, headers: readonly string[]): void {
    this.head(error.status, headers);
    this.#ended(error);
  }
  abort(): void {
    this.#ended("abort");
  }
  waiting(wait: { readonly reason: string; readonly place: number }): void {
    this.waits.push(`${wait.reason} ${wait.place}`);
  }

  #ended(ending: NonNullable<RecordingSink["ending"]>): void {
    if (this.ending !== null) throw new Error("a sink was ended twice");
    this.ending = ending;
  }
}

/** Answers each call with the next step; the last one stays. */
export class ScriptedTarget implements Upstream {
  readonly sent: Sending[] = [];
  readonly #steps: Upstream["send"][];

  constructor(...steps: Upstream["send"][]) {
    this.#steps = steps;
  }

  send(sending: Sending, sink: AnswerSink): ReturnType<Upstream["send"]> {
    const step = this.#steps[Math.min(this.sent.length, this.#steps.length - 1)];
    this.sent.push(sending);
    if (step === undefined) throw new Error("nothing is to be sent");
    return step(sending, sink);
  }
}
