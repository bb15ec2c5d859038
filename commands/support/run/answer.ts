import { setTimeout as delay } from "node:timers/promises";
import type { DaemonStatus } from "../../../src/api/status.ts";
import type { ChatRequest, ChatTimings } from "../../../src/client/chat-stream.ts";
import type { DaemonClient } from "../../../src/client/daemon-client.ts";
import { type Progress, type ProgressStream, showProgress } from "../cli/progress.ts";
import type { AnswerClock } from "./timings.ts";

export interface AnswerOptions {
  readonly client: Pick<DaemonClient, "chat" | "status">;
  readonly request: ChatRequest;
  readonly signal: AbortSignal;
  /** Gets the text as it comes. */
  readonly out: { write(text: string): unknown };
  /** Shows what the answer waits for. */
  readonly progress: ProgressStream;
}

export interface Answer {
  readonly text: string;
  /** `stopped`: the signal was aborted; `text` is what had come until then. */
  readonly end: "complete" | "length" | "stopped";
  readonly timings: ChatTimings | null;
  readonly clock: AnswerClock;
}

const LOOK_EVERY_MS = 500;

/** Streams one answer to `out`, with a spinner until the first text. Errors of the daemon are thrown. */
export async function streamAnswer({ client, request, signal, out, progress: stream }: AnswerOptions): Promise<Answer> {
  const startedAt = performance.now();
  const looking = new AbortController();
  const progress = showProgress(stream, `waiting for ${request.model}`);
  void describeWhileWaiting(client, request.model, progress, looking.signal);
  let text = "";
  let firstTextMs: number | null = null;
  let timings: ChatTimings | null = null;
  let end: Answer["end"] = "complete";
  const waited = (): void => {
    looking.abort();
    progress.stop();
  };
  try {
    for await (const event of client.chat(request, signal)) {
      if (event.type === "text") {
        firstTextMs ??= performance.now() - startedAt;
        waited();
        text += event.text;
        out.write(event.text);
      } else if (event.type === "done") {
        timings = event.timings;
        if (event.finishReason === "length") end = "length";
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    end = "stopped";
  } finally {
    waited();
  }
  return { text, end, timings, clock: { totalMs: performance.now() - startedAt, firstTextMs } };
}

async function describeWhileWaiting(
  client: Pick<DaemonClient, "status">,
  model: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    // Without a status only the description is missing; the request itself reports what is wrong.
    const status = await client.status().catch(() => null);
    if (status !== null) progress.update(describeWait(status, model));
  }
}

/** What a request for `model` waits for, in words. Pure. */
export function describeWait(status: DaemonStatus, model: string): string {
  const known = status.models.find((entry) => entry.name === model || entry.aliases.includes(model));
  const instances = status.instances.filter((instance) => instance.model === (known?.name ?? model));
  if (instances.some((instance) => instance.state === "ready")) {
    return known !== undefined && known.queued > 1
      ? `${model}: ${known.queued} requests in the queue`
      : `${model} is processing the prompt`;
  }
  return instances.some(({ state }) => state === "starting") ? `loading ${model}` : `waiting for ${model}`;
}
