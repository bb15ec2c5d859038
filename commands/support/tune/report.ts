import type { LineChange } from "../../../src/config/edit.ts";
import { modelKinds } from "../../../src/core/model.ts";
import { MAX_BATCH_MS } from "./score.ts";
import { BATCH_TOO_LONG } from "./search.ts";
import { settingsKey, settingsText } from "./settings.ts";
import type { TriedSettings, TuneProgress, TuneReport } from "./tune.ts";

/** What is measured now, in one line. */
export function progressText(model: string, { done, trying, axis, gain }: TuneProgress): string {
  const purpose = axis === "start" ? "as it is" : axis === "confirm" ? "once more" : axis;
  const best = gain === null ? "" : `; best so far ${times(gain)}`;
  return `${model} · trial ${done + 1}, ${purpose}: ${settingsText(trying)}${best}`;
}

/** The table of what was tried: titles, then one row each. */
export function triedRows({ tried, best, workload, objective }: TuneReport): string[][] {
  const startScore = scoreOf(tried[0]);
  const many = workload.streams > 0;
  const titles = ["VARIED", "THREADS", "SLOTS", "BATCH", "MICRO", "CACHE", "PREFILL/S", "DECODE/S"];
  const rows = tried.map((trial) => {
    const { axis, threads, slots, batchTokens, microBatchTokens, cacheTypeK, cacheTypeV, result } = trial;
    const cache = cacheTypeK === cacheTypeV ? cacheTypeK : `${cacheTypeK}/${cacheTypeV}`;
    const settings = [axis, ...[threads, slots, batchTokens, microBatchTokens].map(String), cache];
    if (result.kind === "failed") return [...settings, "-", "-", ...(many ? ["-"] : []), "-", "-", result.reason];
    const { rates, batchMs, score } = result;
    const note =
      result.tier === BATCH_TOO_LONG
        ? `batch over ${MAX_BATCH_MS} ms`
        : settingsKey(trial) === settingsKey(best)
          ? "best"
          : "";
    const figures = [
      rate(rates.prefill),
      rate(rates.decode),
      ...(many ? [rate(rates.streams)] : []),
      `${Math.round(batchMs)} ms`,
    ];
    return [...settings, ...figures, startScore === null ? "-" : times(score / startScore), note];
  });
  return [
    [...titles, ...(many ? [`${workload.streams} AT ONCE/S`] : []), "ONE BATCH", objective.toUpperCase(), ""],
    ...rows,
  ];
}

/** What came of it, in sentences. */
export function conclusion(report: TuneReport): string[] {
  const { model, device, engine, workload, changes, gain, complete, doubts, objective, sideBySide } = report;
  const size = modelKinds[workload.kind].generates
    ? `${workload.promptTokens} prompt and ${workload.answerTokens} answer tokens`
    : `inputs of ${workload.promptTokens} tokens`;
  const lines = [
    `${model} on ${device} with ${engine}, ${size}; rates in tokens per second, medians; ${objective} as a multiple of the first row.`,
  ];
  if (sideBySide > 1)
    lines.push(`Measured with the threads that it has while ${sideBySide} models run on ${device} side by side.`);
  if (!complete) lines.push("The time limit was reached before everything was tried; a longer --budget may find more.");
  lines.push(...doubts);
  if (changes.length === 0)
    lines.push(
      "No setting that was tried is better than the current ones by more than the noise; the file is unchanged.",
    );
  else
    lines.push(
      ...batchReason(report),
      `Best: ${changes.map(({ key, from, to }) => `${key} ${from} → ${to}`).join(", ")}${gain === 1 ? "" : ` (${times(gain)})`}.`,
    );
  return lines;
}

/** Why what is slower, perhaps, replaces what the model has. */
function batchReason({ tried, best }: TuneReport): string[] {
  const [start] = tried;
  if (
    start?.result.kind !== "measured" ||
    start.result.tier !== BATCH_TOO_LONG ||
    start.batchTokens === best.batchTokens
  )
    return [];
  const took = Math.round(start.result.batchMs);
  return [
    `A batch of ${start.batchTokens} tokens takes ${took} ms, for which the request of a disconnected client would occupy the engine; the limit is ${MAX_BATCH_MS} ms.`,
  ];
}

/** The changes of a file as a diff without context. */
export const diffLines = (file: string, changes: readonly LineChange[]): string[] => [
  `--- ${file}`,
  `+++ ${file}`,
  ...changes.flatMap(({ line, before, after }) => [
    `@@ line ${line} @@`,
    ...(before === null ? [] : [`-${before}`]),
    `+${after}`,
  ]),
];

const scoreOf = (trial: TriedSettings | undefined): number | null =>
  trial?.result.kind === "measured" ? trial.result.score : null;
const times = (factor: number): string => `${factor.toFixed(2)}×`;
const rate = (perSecond: number | null): string =>
  perSecond === null ? "-" : perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
