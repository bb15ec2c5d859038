/**
 * Load from a process of its own: takes a `Plan` and answers it with `Sent`, one for each request. Open loop: a request
 * is sent when it is due, whatever has become of the others, and timed from when it was due. One that follows an answer
 * (`after`) is due no earlier than that answer's end.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expectedAnswer, renderPrompt } from "../stub/text.ts";
import type { Plan, Planned, Sent } from "./plan.ts";
import { promptMessages } from "./prompts.ts";
import { type Seen, streamChat, type Target } from "./stream.ts";

const GRACE_MS = 5;

const targetOf = (plan: Plan): Target => ("port" in plan ? { port: plan.port } : { socketPath: plan.socketPath });

async function run(plan: Plan): Promise<Sent[]> {
  const startedAt = performance.now() + GRACE_MS;
  const over = new AbortController();
  const answers = new Map<number, Promise<Sent>>();
  for (const planned of plan.requests) answers.set(planned.id, one(planned));
  const awaited = plan.requests.filter(({ background }) => background !== true).map(({ id }) => answers.get(id));
  const timer = setTimeout(() => over.abort(), plan.patienceMs);
  await Promise.all(awaited);
  clearTimeout(timer);
  // Whoever is only there for the others leaves with them.
  over.abort();
  return Promise.all(answers.values());

  async function one(planned: Planned): Promise<Sent> {
    let dueAt = startedAt + planned.atMs;
    if (planned.after !== undefined) {
      const before = await answers.get(planned.after);
      if (before !== undefined && before.outcome !== "ok") return { ...nothing(planned), outcome: "not sent" };
      dueAt = Math.max(dueAt, performance.now());
    }
    await sleep(Math.max(0, dueAt - performance.now()), undefined, { signal: over.signal }).catch(() => {});
    if (over.signal.aborted) return { ...nothing(planned), outcome: "not sent" };
    const messages = promptMessages(planned.prompt);
    const { model, maxTokens, stream = true, key } = planned;
    const body = JSON.stringify({
      model,
      messages,
      max_tokens: maxTokens,
      ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    });
    const sentAt = performance.now();
    const seen = await streamChat(targetOf(plan), body, { ...(key ? { key } : {}), signal: over.signal });
    return judged(planned, seen, expectedAnswer(renderPrompt({ messages }), maxTokens), {
      dueAt,
      sentAt,
      left: over.signal.aborted,
    });
  }
}

const nothing = ({ id, tag }: Planned): Sent => ({
  id,
  tag,
  outcome: "hung",
  status: 0,
  error: null,
  lateMs: 0,
  ttftMs: Number.NaN,
  totalMs: Number.NaN,
  promptTokens: 0,
  cachedTokens: 0,
  promptMs: 0,
  gapsMs: [],
});

function judged(
  planned: Planned,
  seen: Seen,
  expected: string,
  { dueAt, sentAt, left }: { dueAt: number; sentAt: number; left: boolean },
): Sent {
  const times = seen.tokenTimes;
  return {
    ...nothing(planned),
    outcome: outcomeOf(planned, seen, expected, left),
    status: seen.status,
    error: seen.error,
    lateMs: sentAt - dueAt,
    ttftMs: (times[0] ?? Number.NaN) - dueAt,
    totalMs: seen.endedAt - dueAt,
    promptTokens: seen.promptTokens,
    cachedTokens: seen.cachedTokens,
    promptMs: seen.promptMs,
    gapsMs: planned.gaps === true ? times.slice(1).map((time, index) => time - (times[index] ?? 0)) : [],
  };
}

/** An answer that says it is complete has to be exactly the one that the prompt has. */
function outcomeOf({ background }: Planned, seen: Seen, expected: string, left: boolean): Sent["outcome"] {
  if (seen.complete && seen.error === null) return seen.content === expected ? "ok" : "wrong";
  if (!expected.startsWith(seen.content)) return "wrong";
  if (left) return background === true ? "left" : "hung";
  if (seen.status === 429 || seen.status === 503) return "refused";
  // An end without `[DONE]` and without a word is an answer cut short behind the client's back.
  return seen.error === null && seen.status === 200 ? "wrong" : "failed";
}

process.on("message", (plan: Plan) => void run(plan).then((sent) => process.send?.(sent)));
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
