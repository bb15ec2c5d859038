/**
 * Two to four models, or replicas, on one machine under the same concurrent streams: the daemon with its thread
 * governor against the best single process and against as many processes as somebody starts who leaves everything at
 * its default.
 */

import { seededRandom } from "../../test/support/random.ts";
import { printTable, progress, Report } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";
import { chatBody, prose } from "../stub/probes.ts";
import { streamChat } from "../workloads/stream.ts";
import { type Arm, armsOf, type Place, type Running } from "./arms.ts";

export interface ProcessesOptions {
  readonly rounds: number;
  /** GGUF file of a chat model. */
  readonly model: string;
  readonly llamaServer: string;
  /** How many models, replicas and processes. */
  readonly counts: readonly number[];
  /** Measured for so long in each round. */
  readonly seconds: number;
}

const STREAMS = 8;
const PROMPT_BYTES = 300;
const ANSWER_TOKENS = 48;
/** Every stream is under way by then, and every model that has to be started. */
const WARM_UP_MS = 3_000;

interface Measured {
  readonly tokensPerSecond: number;
  /** Tokens of the model that got fewest, as a share of an equal part. */
  readonly leastShare: number;
  readonly failures: number;
}

export async function benchProcesses({ rounds, model, llamaServer, counts, seconds }: ProcessesOptions): Promise<void> {
  const report = new Report("processes");
  const arms = armsOf({ model, llamaServer, streams: STREAMS, counts });
  const rates = new Map<string, number[]>(arms.map(({ name }) => [name, []]));
  const shares = new Map<string, number[]>(arms.map(({ name }) => [name, []]));
  const whats = new Map<string, string>();
  for (let round = 0; round < rounds; round++) {
    for (const arm of round % 2 === 0 ? arms : arms.toReversed()) {
      progress(`round ${round + 1} of ${rounds}: ${arm.name}`);
      await using running = await arm.start();
      const measured = await measure(running, arm.kind === "replicas" ? 1 : arm.count, seconds * 1000);
      rates.get(arm.name)?.push(measured.tokensPerSecond);
      shares.get(arm.name)?.push(measured.leastShare);
      whats.set(arm.name, running.what);
      report.add({
        bench: "processes",
        measure: "tokens/s",
        arm: arm.name,
        kind: arm.kind,
        count: arm.count,
        round,
        what: running.what,
        ...measured,
      });
    }
  }
  for (const { name, kind, count } of arms) {
    const leastShare = spread(shares.get(name) ?? []).median;
    report.add({
      bench: "processes",
      measure: "tokens/s",
      arm: name,
      kind,
      count,
      rounds,
      what: whats.get(name),
      leastShare,
      ...spread(rates.get(name) ?? []),
    });
  }
  conclude(arms, rates, rounds, report);
  console.log(
    `\nkept in ${report.save({ model: model.split("/").at(-1), streams: STREAMS, answerTokens: ANSWER_TOKENS, seconds })}`,
  );
}

/** A closed loop of streams for so long; answers that are under way at the end are left. */
async function measure(running: Running, models: number, forMs: number): Promise<Measured> {
  const tokens = Array.from({ length: models }, () => 0);
  const over = new AbortController();
  const from = performance.now() + WARM_UP_MS;
  let failures = 0;
  const stream = async (index: number, place: Place): Promise<void> => {
    const random = seededRandom(index);
    for (let number = 0; !over.signal.aborted; number++) {
      const body = chatBody(
        [{ role: "user", content: prose(1000 * index + number, PROMPT_BYTES, random) }],
        ANSWER_TOKENS,
        {
          model: place.model,
          cache_prompt: false,
        },
      );
      const seen = await streamChat(place.target, body, { signal: over.signal });
      if (!seen.complete && !over.signal.aborted) failures += 1;
      tokens[index % models] = (tokens[index % models] ?? 0) + seen.tokenTimes.filter((time) => time >= from).length;
    }
  };
  const timer = setTimeout(() => over.abort(), WARM_UP_MS + forMs);
  await Promise.all(Array.from({ length: STREAMS }, (_, index) => stream(index, running.place(index))));
  clearTimeout(timer);
  const all = tokens.reduce((sum, each) => sum + each, 0);
  return {
    tokensPerSecond: all / (forMs / 1000),
    leastShare: all === 0 ? 0 : (Math.min(...tokens) * models) / all,
    failures,
  };
}

function conclude(
  arms: readonly Arm[],
  rates: ReadonlyMap<string, readonly number[]>,
  rounds: number,
  report: Report,
): void {
  const ratio = (arm: Arm, base: string): ReturnType<typeof spread> | null => {
    const values = (rates.get(arm.name) ?? []).map((rate, round) => rate / (rates.get(base)?.[round] ?? Number.NaN));
    return base === arm.name || !rates.has(base) ? null : spread(values);
  };
  const table = [["arm", "tokens/s", "÷ single", "÷ untuned"]];
  for (const arm of arms) {
    const ours = arm.kind === "models" || arm.kind === "replicas";
    const [single, untuned] = [ratio(arm, "single"), ours ? ratio(arm, `untuned × ${arm.count}`) : null];
    for (const [base, goal, values] of [
      ["single", "≥ 0.9", single],
      ["untuned", "≥ 3", untuned],
    ] as const) {
      if (values !== null)
        report.add({
          bench: "processes",
          measure: `tokens/s ÷ ${base}`,
          arm: arm.name,
          kind: arm.kind,
          count: arm.count,
          rounds,
          ...(ours ? { goal } : {}),
          ...values,
        });
    }
    table.push([
      arm.name,
      shown(spread(rates.get(arm.name) ?? []), 1),
      single ? shown(single) : "",
      untuned ? shown(untuned) : "",
    ]);
  }
  console.log("");
  printTable(table);
}
