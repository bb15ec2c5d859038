import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { benchRoot } from "../lib/report.ts";
import { quantile } from "../lib/statistics.ts";
import type { PromptPart } from "./prompts.ts";
import type { Target } from "./stream.ts";

/** One request to come. */
export interface Planned {
  readonly id: number;
  /** What it counts under. */
  readonly tag: string;
  readonly atMs: number;
  /** The request whose answer it follows. */
  readonly after?: number;
  readonly model: string;
  readonly prompt: readonly PromptPart[];
  readonly maxTokens: number;
  /** Default: true. */
  readonly stream?: boolean;
  readonly key?: string;
  /** Whether the gaps between its tokens are kept. */
  readonly gaps?: boolean;
  /** It leaves when all others have their answers. */
  readonly background?: boolean;
}

export type Plan = Target & {
  readonly requests: readonly Planned[];
  /** What has no answer by then has none. */
  readonly patienceMs: number;
};

/** What became of it. Times are milliseconds from when it was due. */
export interface Sent {
  readonly id: number;
  readonly tag: string;
  /**
   * `ok`: whole and its own. `wrong`: another's, out of order, or cut short without a word. `failed`: an error was
   * stated, or the connection broke. `refused`: 429 or 503. `hung`: nothing within the plan's patience. `left`, `not
   * sent`: not to be judged.
   */
  readonly outcome: "ok" | "wrong" | "failed" | "refused" | "hung" | "left" | "not sent";
  readonly status: number;
  readonly error: string | null;
  /** Sent after it was due: the generator itself was too slow. */
  readonly lateMs: number;
  readonly ttftMs: number;
  readonly totalMs: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly promptMs: number;
  readonly gapsMs: readonly number[];
}

/** Runs a plan in a process of its own. */
export async function send(plan: Plan): Promise<Sent[]> {
  const child = fork(join(benchRoot, "workloads/generator.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  try {
    await once(child, "message");
    child.send(plan);
    const [sent] = (await Promise.race([
      once(child, "message"),
      once(child, "exit").then(([code]) => Promise.reject(new Error(`the generator ended with code ${String(code)}`))),
    ])) as [Sent[]];
    return sent;
  } finally {
    if (child.connected) child.disconnect();
  }
}

export interface Figures {
  readonly requests: number;
  readonly ok: number;
  readonly wrong: number;
  readonly failed: number;
  readonly refused: number;
  readonly hung: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  readonly ttftP999Ms: number;
  readonly totalP50Ms: number;
  /** Cached ÷ all prompt tokens. */
  readonly hitRate: number;
  readonly prefilledTokens: number;
  /** The generator's own delay. */
  readonly lateP99Ms: number;
}

/** Figures of the requests with a tag, or of all that were not there only for the others. */
export function figures(sent: readonly Sent[], tag: string | null = null): Figures {
  const judged = sent.filter(
    (each) => (tag === null || each.tag === tag) && each.outcome !== "left" && each.outcome !== "not sent",
  );
  const ok = judged.filter(({ outcome }) => outcome === "ok");
  const count = (outcome: Sent["outcome"]): number => judged.filter((each) => each.outcome === outcome).length;
  const sum = (field: "promptTokens" | "cachedTokens"): number => ok.reduce((total, each) => total + each[field], 0);
  const at = (q: number, field: "ttftMs" | "totalMs" | "lateMs"): number =>
    Math.round(
      quantile(
        ok.map((each) => each[field]).sort((a, b) => a - b),
        q,
      ) * 10,
    ) / 10;
  return {
    requests: judged.length,
    ok: ok.length,
    wrong: count("wrong"),
    failed: count("failed"),
    refused: count("refused"),
    hung: count("hung"),
    ttftP50Ms: at(0.5, "ttftMs"),
    ttftP99Ms: at(0.99, "ttftMs"),
    ttftP999Ms: at(0.999, "ttftMs"),
    totalP50Ms: at(0.5, "totalMs"),
    hitRate: Math.round((1000 * sum("cachedTokens")) / sum("promptTokens")) / 1000,
    prefilledTokens: sum("promptTokens") - sum("cachedTokens"),
    lateP99Ms: at(0.99, "lateMs"),
  };
}

/** What went wrong, and how often. */
export function errorsOf(sent: readonly Sent[]): Record<string, number> {
  const errors: Record<string, number> = {};
  for (const { outcome, status, error } of sent) {
    if (outcome === "ok" || outcome === "left" || outcome === "not sent") continue;
    const name = `${outcome}, status ${status}${error === null ? "" : `: ${error}`}`;
    errors[name] = (errors[name] ?? 0) + 1;
  }
  return errors;
}

/** Figures of wrong answers, or of too few, are worth nothing. Throws with what went wrong. */
export function requireRight(workload: string, sent: readonly Sent[]): void {
  const errors = errorsOf(sent);
  const ok = sent.filter(({ outcome }) => outcome === "ok").length;
  if (sent.some(({ outcome }) => outcome === "wrong" || outcome === "failed" || outcome === "hung") || ok === 0) {
    throw new Error(
      `${workload}: not every answer was the engine's own for its prompt, whole and in order: ${JSON.stringify(errors)}`,
    );
  }
}
