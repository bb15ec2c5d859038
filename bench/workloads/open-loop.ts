import { seededRandom } from "../../test/support/random.ts";
import { printTable, progress } from "../lib/report.ts";
import { shown, spread } from "../lib/statistics.ts";
import { poissonGapMs } from "../sim/requests.ts";
import type { WorkloadContext } from "./arms.ts";
import { installStubs } from "./installation.ts";
import { type Figures, figures, type Planned, requireRight, send } from "./plan.ts";
import type { Target } from "./stream.ts";

const SLOTS = 32;
const PROMPT_TOKENS = 100;
const ANSWER_TOKENS = 32;
/** More clients than slots, so that none is idle. */
const CLIENTS = 48;
const PER_CLIENT = 10;
const FRACTIONS = [0.5, 0.8, 0.95];
const FOR_MS = 12_000;
const PATIENCE_MS = 60_000;
const ARMS = ["direct", "daemon"] as const;

const planned = (tag: string, id: number, more: Partial<Planned>): Planned => ({
  id,
  tag,
  atMs: 0,
  model: "m",
  prompt: [{ role: "user", seed: `${tag} ${id}`, tokens: PROMPT_TOKENS }],
  maxTokens: ANSWER_TOKENS,
  ...more,
});

/**
 * W1: clients that come whether or not others have their answers, at shares of what the engine alone can do; through
 * the daemon and straight to the same engine. All times count from when a request was due, so that one that was held up
 * holds up the figures of those behind it too.
 */
export async function openLoop({ report, rounds }: WorkloadContext): Promise<void> {
  const results = new Map<string, Figures[]>();
  const closed: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await using daemon = await installStubs({ models: { m: { slots: SLOTS, contextTokens: 1024 } } });
    const targets: Readonly<Record<(typeof ARMS)[number], Target>> = {
      direct: { socketPath: (await daemon.sockets("m"))[0] ?? "" },
      daemon: { port: daemon.port },
    };
    progress(`W1, round ${round + 1} of ${rounds}: what the engine can do`);
    // The first round trip of each meets code that is not compiled yet.
    for (const arm of ARMS) await capacity(targets[arm], `warm ${arm} ${round}`);
    const perSecond = await capacity(targets.direct, `closed ${round}`);
    const through = await capacity(targets.daemon, `closed through ${round}`);
    closed.push(through / perSecond);
    report.add({
      bench: "workloads",
      measure: "W1: closed loop",
      round,
      clients: CLIENTS,
      slots: SLOTS,
      perSecond,
      through,
    });
    for (const fraction of FRACTIONS) {
      for (const arm of round % 2 === 0 ? ARMS : ARMS.toReversed()) {
        const sent = await send({
          ...targets[arm],
          requests: arrivals(perSecond * fraction, `${arm} ${fraction} ${round}`, round),
          patienceMs: PATIENCE_MS,
        });
        requireRight("W1", sent);
        const result = figures(sent);
        report.add({
          bench: "workloads",
          measure: "W1",
          arm,
          fraction,
          perSecond: perSecond * fraction,
          round,
          ...result,
          ...(await daemon.lateness("m")),
        });
        const name = `${fraction} ${arm}`;
        results.set(name, [...(results.get(name) ?? []), result]);
      }
    }
  }
  const table = [["share of capacity", "arm", "TTFT p50 ms", "p99", "p99.9"]];
  for (const fraction of FRACTIONS) {
    for (const arm of ARMS) {
      const list = results.get(`${fraction} ${arm}`) ?? [];
      const cells = (["ttftP50Ms", "ttftP99Ms", "ttftP999Ms"] as const).map((field) =>
        shown(spread(list.map((each) => each[field])), 1),
      );
      table.push([String(fraction), arm, ...cells]);
    }
    for (const field of ["ttftP50Ms", "ttftP99Ms"] as const) {
      const [direct = [], through = []] = ARMS.map((arm) =>
        (results.get(`${fraction} ${arm}`) ?? []).map((each) => each[field]),
      );
      const ratio = spread(through.map((value, round) => value / (direct[round] ?? Number.NaN)));
      report.add({
        bench: "workloads",
        measure: `W1: ${field === "ttftP50Ms" ? "TTFT p50" : "TTFT p99"} at ${fraction} of capacity, daemon ÷ direct`,
        rounds,
        ...ratio,
      });
    }
  }
  report.add({
    bench: "workloads",
    measure: "W1: requests/s of a closed loop, daemon ÷ direct",
    rounds,
    ...spread(closed),
  });
  console.log(`\nW1: requests/s of a closed loop, daemon ÷ direct: ${shown(spread(closed))}`);
  console.log("\nW1: open loop, timed from when each request was due");
  printTable(table);
}

/** Requests per second of a closed loop. */
async function capacity(target: Target, tag: string): Promise<number> {
  const requests = Array.from({ length: CLIENTS * PER_CLIENT }, (_, id) =>
    planned(tag, id, id % PER_CLIENT === 0 ? {} : { after: id - 1 }),
  );
  const sent = await send({ ...target, requests, patienceMs: PATIENCE_MS });
  requireRight("W1", sent);
  const clients = Array.from({ length: CLIENTS }, (_, client) =>
    sent.slice(client * PER_CLIENT, (client + 1) * PER_CLIENT),
  );
  // One that has had its last answer leaves the others more room: what all had done by then counts.
  const endsMs = clients.map((own) => own.reduce((sum, { totalMs }) => sum + totalMs, 0));
  return requests.length / (Math.max(...endsMs) / 1000);
}

function arrivals(perSecond: number, tag: string, seed: number): Planned[] {
  const random = seededRandom(40 + seed);
  const requests: Planned[] = [];
  for (let atMs = 0; atMs < FOR_MS; atMs += poissonGapMs(random, perSecond))
    requests.push(planned(tag, requests.length, { atMs }));
  return requests;
}
