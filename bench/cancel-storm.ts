/**
 * Ten thousand requests through a real daemon, most of them left at random moments, over the fake engine: what is still
 * held afterwards. Prints one JSON line per kind of engine and a table. Needs a build (`npm run build`).
 *
 *   node bench/cancel-storm.ts [--requests 10000] [--clients 64] [--seed 1]
 */
import { parseArgs } from "node:util";
import { eventually } from "../test/support/assistant.ts";
import { cancelStorm, workUnderWay } from "../test/support/cancel-storm.ts";
import { ask, installFakes } from "../test/support/fake-installation.ts";
import { descriptorsOf, residentBytes } from "../test/support/processes.ts";
import { seededRandom } from "../test/support/random.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "10000" },
    clients: { type: "string", default: "64" },
    seed: { type: "string", default: "1" },
  },
});
const plan = { requests: Number(values.requests), clients: Number(values.clients), seed: Number(values.seed) };
const models = ["river", "brook"];

interface Row {
  readonly engine: string;
  readonly requests: number;
  readonly left: number;
  readonly answered: number;
  readonly unanswered: number;
  readonly seconds: number;
  readonly queuedAfter: number;
  readonly inFlightAfter: number;
  readonly onEnginesAfter: number;
  readonly tokensForNobody: number;
  readonly descriptorsBefore: number;
  readonly descriptorsAfter: number;
  readonly rssMiBBefore: number;
  readonly rssMiBAfter: number;
}

const mebibytes = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10;

async function storm(patched: boolean): Promise<Row> {
  const knobs = {
    decodeDelayMs: 4,
    prefillTokensPerSecond: 2_000,
    noticesDisconnects: patched,
    noticesWhenWriting: !patched,
  };
  const model = { knobs, slots: 4, toml: "preload = true" };
  await using assistant = await installFakes({ models: { river: model, brook: model }, patched });
  const url = await assistant.serve();
  for (const name of models) await ask(url, name, "wake up", { headers: { connection: "close" } });
  const { pid } = await assistant.state();
  const [descriptorsBefore, rssBefore] = [(await descriptorsOf(pid)).length, await residentBytes(pid)];
  const startedAt = performance.now();
  const result = await cancelStorm(Number(new URL(url).port), { ...plan, models, random: seededRandom(plan.seed) });
  const seconds = (performance.now() - startedAt) / 1000;
  // What is not over after ten seconds is a leak, and is told as one.
  await eventually(
    "nothing is under way",
    async () => {
      const work = await workUnderWay(assistant, models);
      return work.queued + work.inFlight + work.onEngines === 0;
    },
    10_000,
  ).catch(() => {});
  const work = await workUnderWay(assistant, models);
  const records = await Promise.all(models.map((name) => assistant.record(name)));
  const { stays } = result.departures;
  return {
    engine: patched ? "patched" : "stock",
    requests: plan.requests,
    left: plan.requests - stays,
    answered: result.answered,
    unanswered: stays - result.answered,
    seconds: Math.round(seconds * 10) / 10,
    queuedAfter: work.queued,
    inFlightAfter: work.inFlight,
    onEnginesAfter: work.onEngines,
    tokensForNobody: records.reduce((sum, record) => sum + record.tokensAfterAbort, 0),
    descriptorsBefore,
    descriptorsAfter: (await descriptorsOf(pid)).length,
    rssMiBBefore: mebibytes(rssBefore),
    rssMiBAfter: mebibytes(await residentBytes(pid)),
  };
}

const rows: Row[] = [];
for (const patched of [true, false]) {
  const row = await storm(patched);
  console.log(JSON.stringify({ bench: "cancel-storm", seed: plan.seed, clients: plan.clients, ...row }));
  rows.push(row);
}
console.table(rows);
process.exitCode = rows.some((row) => row.unanswered + row.queuedAfter + row.inFlightAfter + row.onEnginesAfter > 0)
  ? 1
  : 0;
