import { printTable } from "../lib/report.ts";
import { quantile, type Spread, shown, spread } from "../lib/statistics.ts";
import type { WorkloadContext } from "./arms.ts";
import { installStubs, type StubInstallation } from "./installation.ts";
import { figures, type Planned, requireRight, type Sent, send } from "./plan.ts";
import type { PromptPart } from "./prompts.ts";
import type { Target } from "./stream.ts";

const SIZES = [1000, 10_000, 100_000];
const PATIENCE_MS = 60_000;
const user = (seed: string, tokens: number): PromptPart[] => [{ role: "user", seed, tokens }];
const at = (values: readonly number[], q: number): number =>
  quantile(
    values.toSorted((a, b) => a - b),
    q,
  );

/**
 * W8: what the daemon adds to prompts of 1k, 10k and 100k tokens, and what bodies of 400 KB do to the streams of
 * others; each beside the engine alone.
 */
export async function sizes({ report, rounds }: WorkloadContext): Promise<void> {
  const ratios = new Map<number, number[]>(SIZES.map((tokens) => [tokens, []]));
  const gaps = { daemon: [] as number[], direct: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    const quick = { parameters: { prefillTokensPerSecond: 2_000_000 } };
    await using daemon = await installStubs({
      models: { small: { slots: 8, contextTokens: 8192 }, big: { slots: 8, contextTokens: 131_072, stub: quick } },
    });
    for (const tokens of SIZES) {
      const [direct, through] = [
        await prompts(await past(daemon, "big"), "direct", tokens),
        await prompts({ port: daemon.port }, "daemon", tokens),
      ];
      for (const [arm, sent] of Object.entries({ direct, daemon: through }))
        report.add({ bench: "workloads", measure: "W8", arm, promptTokens: tokens, round, ...figures(sent) });
      ratios.get(tokens)?.push(figures(through).ttftP50Ms / figures(direct).ttftP50Ms);
    }
    for (const arm of ["direct", "daemon"] as const) {
      const [small, big]: readonly Target[] =
        arm === "daemon"
          ? [{ port: daemon.port }, { port: daemon.port }]
          : [await past(daemon, "small"), await past(daemon, "big")];
      const figure = await beside(small ?? { port: daemon.port }, big ?? { port: daemon.port }, `${arm} ${round}`);
      report.add({ bench: "workloads", measure: "W8: small streams", arm, round, ...figure });
      gaps[arm].push(figure.ratio);
    }
  }
  conclude(ratios, gaps, { report, rounds });
}

const past = async (daemon: StubInstallation, model: string): Promise<Target> => ({
  socketPath: (await daemon.sockets(model))[0] ?? "",
});

/** Prompts that nobody has seen before, one after the other. */
async function prompts(target: Target, arm: string, tokens: number): Promise<Sent[]> {
  const requests = Array.from(
    { length: 8 },
    (_, id): Planned => ({
      id,
      tag: `${tokens}`,
      atMs: 300 * id,
      model: "big",
      prompt: user(`${tokens} of ${id}, ${arm}`, tokens),
      maxTokens: 4,
    }),
  );
  const sent = await send({ ...target, requests, patienceMs: PATIENCE_MS });
  requireRight("W8", sent);
  return sent;
}

/** Four small streams alone, then beside large bodies. */
async function beside(
  small: Target,
  big: Target,
  arm: string,
): Promise<{ readonly gapP99QuietMs: number; readonly gapP99BesideMs: number; readonly ratio: number }> {
  const streams = Array.from(
    { length: 4 },
    (_, id): Planned => ({
      id,
      tag: "stream",
      atMs: 0,
      model: "small",
      prompt: user(`stream ${id}`, 100),
      maxTokens: 1000,
      gaps: true,
    }),
  );
  const bodies = Array.from(
    { length: 40 },
    (_, id): Planned => ({
      id,
      tag: "body",
      atMs: 100 + id * 110,
      model: "big",
      prompt: user(`body ${id}, ${arm}`, 100_000),
      maxTokens: 2,
    }),
  );
  const run = (target: Target, requests: readonly Planned[]): Promise<Sent[]> =>
    send({ ...target, requests, patienceMs: PATIENCE_MS });
  const gapP99 = (sent: readonly Sent[]): number =>
    at(
      sent.flatMap(({ gapsMs }) => gapsMs),
      0.99,
    );
  const quiet = await run(small, streams);
  // Of a process of their own each: what is measured is what they meet, not the generator.
  const [disturbed, loud] = await Promise.all([run(small, streams), run(big, bodies)]);
  for (const sent of [quiet, disturbed, loud]) requireRight("W8", sent);
  return { gapP99QuietMs: gapP99(quiet), gapP99BesideMs: gapP99(disturbed), ratio: gapP99(disturbed) / gapP99(quiet) };
}

function conclude(
  ratios: ReadonlyMap<number, readonly number[]>,
  gaps: Readonly<Record<"daemon" | "direct", readonly number[]>>,
  { report, rounds }: Pick<WorkloadContext, "report" | "rounds">,
): void {
  const add = (measure: string, values: Spread, goal?: string): void =>
    report.add({ bench: "workloads", measure, ...(goal === undefined ? {} : { goal }), rounds, ...values });
  const rows = [...ratios].map(([tokens, list]) => [String(tokens), shown(spread(list))]);
  for (const [tokens, list] of ratios) add(`W8: TTFT p50 of ${tokens} prompt tokens, daemon ÷ direct`, spread(list));
  add("W8: small streams' gap p99, beside bodies of 400 KB ÷ alone", spread(gaps.daemon), "≤ 2");
  add("W8: the same without the daemon", spread(gaps.direct));
  console.log("\nW8: sizes of prompts");
  printTable([["prompt tokens", "TTFT p50, daemon ÷ direct"], ...rows]);
  console.log(
    `small streams' gap p99 beside 400 KB bodies ÷ alone: ${shown(spread(gaps.daemon))}, goal ≤ 2; without the daemon ${shown(spread(gaps.direct))}`,
  );
}
