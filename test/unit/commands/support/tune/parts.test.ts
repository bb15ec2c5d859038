import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../../../../commands/support/cli/context.ts";
import { applyEdit, planEdit } from "../../../../../commands/support/tune/apply.ts";
import { axesFor } from "../../../../../commands/support/tune/axes.ts";
import { instancesOn } from "../../../../../commands/support/tune/neighbours.ts";
import { budgetOf, noiseText } from "../../../../../commands/support/tune/options.ts";
import { conclusion, diffLines, progressText, triedRows } from "../../../../../commands/support/tune/report.ts";
import { failure, judge, type Rates } from "../../../../../commands/support/tune/score.ts";
import { BATCH_TOO_LONG, FAILED, USABLE } from "../../../../../commands/support/tune/search.ts";
import {
  changesBetween,
  startSettings,
  type TuneSettings,
  threadShare,
} from "../../../../../commands/support/tune/settings.ts";
import type { TuneReport } from "../../../../../commands/support/tune/tune.ts";
import { planWorkload } from "../../../../../commands/support/tune/workload.ts";
import { resolvePaths } from "../../../../../src/config/paths.ts";
import { testModel } from "../../../../support/fake-engine.ts";

const rates = (prefill: number, decode: number | null, streams: number | null): Rates => ({ prefill, decode, streams });
const own: TuneSettings = {
  threads: 2,
  slots: 4,
  batchTokens: 512,
  microBatchTokens: 512,
  cacheTypeK: "f16",
  cacheTypeV: "f16",
};
const better: TuneSettings = { ...own, threads: 1, batchTokens: 32, microBatchTokens: 32 };

function report(overrides: Partial<TuneReport> = {}): TuneReport {
  const result = judge([rates(160, 40, 100)], "balanced", 512, false);
  return {
    ...{
      model: "smol",
      engine: "llama-server",
      device: "cpu",
      sideBySide: 1,
      objective: "balanced",
      budgetMs: 1000,
      elapsedMs: 900,
      complete: true,
      doubts: [],
    },
    workload: { kind: "chat", promptTokens: 512, answerTokens: 64, streams: 4 },
    tried: [
      { ...own, axis: "start", result },
      { ...better, axis: "batch", result: judge([rates(180, 40, 120)], "balanced", 32, false) },
      { ...own, slots: 8, axis: "slots", result: failure("needs 9 GB of memory, 8 GB are free") },
    ],
    ...{ best: better, gain: 1.1, changes: changesBetween(own, better), file: "/m/smol.toml", section: "chat" },
    ...overrides,
  };
}

describe("a measurement", () => {
  it("counts by the median of its runs, and its batch by the fastest", () => {
    const result = judge([rates(100, 10, 50), rates(200, 30, 70), rates(120, 20, 90)], "balanced", 32, false);
    expect(result).toMatchObject({
      tier: USABLE,
      runs: 3,
      rates: { prefill: 120, decode: 20, streams: 70 },
      batchMs: 160,
    });
    expect(judge([rates(100, 10, null), rates(200, 30, null)], "latency", 8, false).rates).toEqual(
      rates(150, 20, null),
    );
  });

  it("is a request of 512 and 64 tokens alone, many at once, or the mean of both", () => {
    const runs = [rates(512, 64, 1152)];
    expect(judge(runs, "latency", 8, false).score).toBeCloseTo(1 / 2);
    expect(judge(runs, "throughput", 8, false).score).toBeCloseTo(2);
    expect(judge(runs, "balanced", 8, false).score).toBeCloseTo(1);
    expect(judge([rates(512, null, 1024)], "throughput", 512, true).score).toBeCloseTo(2);
  });

  it("does not count where a batch takes over 200 ms, unless there is no smaller one", () => {
    expect(judge([rates(100, 10, 50)], "latency", 32, false).tier).toBe(BATCH_TOO_LONG);
    expect(judge([rates(100, 10, 50)], "latency", 16, false).tier).toBe(USABLE);
    expect(judge([rates(10, 10, 50)], "latency", 16, true).tier).toBe(USABLE);
    expect(failure("why")).toMatchObject({ tier: FAILED, reason: "why" });
  });

  it("asks for the nominal request, and for less where the time or the context is short", () => {
    const order = { kind: "chat", contextTokens: 4096, streams: 4, runMs: 5_000 } as const;
    expect(planWorkload(order, rates(50_000, 500, null))).toEqual({
      kind: "chat",
      promptTokens: 512,
      answerTokens: 64,
      streams: 4,
    });
    const slow = planWorkload(order, rates(100, 20, null));
    expect(slow.promptTokens).toBeGreaterThanOrEqual(64);
    expect(slow.promptTokens).toBeLessThan(512);
    expect(planWorkload({ ...order, contextTokens: 128 }, rates(50_000, 500, null)).promptTokens).toBeLessThan(64);
    expect(planWorkload({ ...order, kind: "embedding" }, rates(50_000, null, null)).answerTokens).toBe(0);
  });
});

describe("models that run side by side", () => {
  it("share the threads of a CPU, one each at least, and those of a GPU not", () => {
    const shares = [1, 2, 3, 9].map((count) => threadShare({ vendor: "cpu" }, 8, count));
    expect(shares).toEqual([8, 4, 2, 1]);
    expect(threadShare({ vendor: "nvidia" }, 8, 4)).toBe(8);
  });

  it("begin with their share, whatever the file says that exceeds it", () => {
    const load = { ...testModel().load, threads: "auto" as const };
    expect(startSettings({ load }, { vendor: "cpu" }, 2).threads).toBe(2);
    expect(startSettings({ load: { ...load, threads: 4 } }, { vendor: "cpu" }, 2).threads).toBe(2);
    expect(startSettings({ load: { ...load, threads: 1 } }, { vendor: "cpu" }, 2).threads).toBe(1);
  });

  it("have their share written where the file leaves it to who starts first, and are told so", () => {
    expect(changesBetween({ ...own, threads: "auto" }, own)).toEqual([{ key: "threads", from: "auto", to: 2 }]);
    expect(conclusion(report({ sideBySide: 3 })).join(" ")).toContain("3 models run on cpu side by side");
    expect(conclusion(report()).join(" ")).not.toContain("side by side");
  });
});

describe("what is varied", () => {
  const bounds = {
    generates: true,
    hasMicroBatches: true,
    device: { vendor: "cpu" },
    objective: "balanced",
    mostThreads: 4,
    contextTokens: 4096,
    streams: 4,
  } as const;
  const usable = judge([rates(1000, 40, 100)], "balanced", 32, false);
  const names = (...args: Parameters<typeof axesFor>) => axesFor(...args).map((axis) => axis.name);

  it("is the batch first where the model's own takes too long", () => {
    expect(names(bounds, usable)).toEqual(["threads", "batch", "slots", "cache"]);
    expect(names(bounds, judge([rates(100, 40, 100)], "balanced", 512, false))).toEqual([
      "batch",
      "threads",
      "slots",
      "cache",
    ]);
  });

  it("depends on device, kind, engine and purpose", () => {
    expect(names({ ...bounds, objective: "latency" }, usable)).toEqual(["threads", "batch", "cache"]);
    expect(names({ ...bounds, device: { vendor: "nvidia" } }, usable)).toEqual([
      "batch",
      "micro-batch",
      "slots",
      "cache",
      "threads",
    ]);
    expect(names({ ...bounds, device: { vendor: "nvidia" }, hasMicroBatches: false }, usable)).not.toContain(
      "micro-batch",
    );
    expect(names({ ...bounds, generates: false, contextTokens: 512 }, usable)).toEqual(["threads", "batch", "slots"]);
  });

  it("keeps an embedding's batch as large as its context, and a micro-batch within its batch", () => {
    const batch = axesFor({ ...bounds, generates: false, contextTokens: 700 }, usable).find(
      ({ name }) => name === "batch",
    );
    const tokens =
      batch
        ?.steps({ settings: { ...own, batchTokens: 700, microBatchTokens: 700 }, result: usable })
        .map((step) => step.batchTokens) ?? [];
    expect(Math.min(...tokens)).toBe(700);
    const onGpu = axesFor({ ...bounds, device: { vendor: "nvidia" } }, usable);
    for (const axis of onGpu) {
      for (const step of axis.steps({ settings: own, result: usable }))
        expect(step.microBatchTokens).toBeLessThanOrEqual(step.batchTokens);
    }
  });

  it("has the model's own values among the steps, however odd they are", () => {
    const odd = { ...own, threads: 3, slots: 7, batchTokens: 100, microBatchTokens: 90, cacheTypeK: "q4_0" };
    for (const axis of axesFor(bounds, usable))
      expect(axis.steps({ settings: odd, result: usable })).toContainEqual(odd);
  });
});

describe("the report", () => {
  it("is a table with the best marked, what failed explained, and factors of the first row", () => {
    const [titles, ...rows] = triedRows(report());
    expect(titles?.slice(0, 3)).toEqual(["VARIED", "THREADS", "SLOTS"]);
    expect(rows.map((row) => [row[0], row.at(-2), row.at(-1)])).toEqual([
      ["start", "1.00×", "batch over 200 ms"],
      ["batch", expect.stringMatching(/^1\.\d\d×$/), "best"],
      ["slots", "-", "needs 9 GB of memory, 8 GB are free"],
    ]);
    for (const row of rows) expect(row).toHaveLength(titles?.length ?? 0);
  });

  it("says what it changes and why, and when the time was short", () => {
    const text = conclusion(report({ complete: false })).join("\n");
    expect(text).toContain("threads 2 → 1, batch_size 512 → 32, ubatch_size 512 → 32");
    expect(text).toContain("A batch of 512 tokens takes 3200 ms");
    expect(text).toContain("--budget");
    expect(conclusion(report({ changes: [], best: own })).join("\n")).toContain("the file is unchanged");
  });

  it("shows progress in one line, and the change as a diff", () => {
    expect(progressText("smol", { done: 3, trying: own, axis: "threads", gain: 1.256 })).toBe(
      "smol · trial 4, threads: threads 2, slots 4, batch 512/512, cache f16; best so far 1.26×",
    );
    expect(
      diffLines("/m.toml", [
        { line: 2, before: "a = 1", after: "a = 2" },
        { line: 3, before: null, after: "b = 1" },
      ]),
    ).toEqual([...["--- /m.toml", "+++ /m.toml", "@@ line 2 @@", "-a = 1", "+a = 2", "@@ line 3 @@", "+b = 1"]]);
  });
});

describe("writing", () => {
  async function installed(): Promise<AsyncDisposable & { readonly file: string; readonly context: CommandContext }> {
    const root = await mkdtemp(join(tmpdir(), "tune-"));
    const env = { HOME: root, ASSISTANT_DATA_DIR: join(root, "data"), ASSISTANT_CONFIG: join(root, "config.toml") };
    return {
      file: join(root, "smol.toml"),
      context: { env, paths: resolvePaths(env), debug: false },
      [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
    };
  }

  it("changes those keys of the file and nothing else, once somebody agreed", async () => {
    await using here = await installed();
    await writeFile(here.file, "# mine\n[chat]\nthreads = 2 # two\nsource = 'x'\n");
    const edit = await planEdit(report({ file: here.file }), here.context);
    expect(await readFile(here.file, "utf8")).toContain("threads = 2");
    if (edit === null) throw new Error("there is something to change");
    expect(await applyEdit(edit, here.context)).toEqual({ reload: null });
    expect(await readFile(here.file, "utf8")).toBe(
      "# mine\n[chat]\nthreads = 1 # two\nbatch_size = 32\nubatch_size = 32\nsource = 'x'\n",
    );
  });

  it("leaves a file that was changed in the meantime", async () => {
    await using here = await installed();
    await writeFile(here.file, "[chat]\nthreads = 2\n");
    const edit = await planEdit(report({ file: here.file }), here.context);
    await writeFile(here.file, "[chat]\nthreads = 4\n");
    if (edit === null) throw new Error("there is something to change");
    await expect(applyEdit(edit, here.context)).rejects.toMatchObject({ code: "file_exists" });
    expect(await readFile(here.file, "utf8")).toBe("[chat]\nthreads = 4\n");
  });

  it("has nothing to do where the model's own settings are the best, and says what to write where there is no file", async () => {
    await using here = await installed();
    expect(await planEdit(report({ changes: [] }), here.context)).toBeNull();
    await expect(planEdit(report({ file: here.context.paths.configFile }), here.context)).rejects.toMatchObject({
      code: "config_invalid",
      remedy: expect.stringContaining("batch_size = 32"),
    });
  });
});

describe("options", () => {
  it("read times", () => {
    expect([budgetOf("120s"), budgetOf("90"), budgetOf("2m"), budgetOf("1.5h")]).toEqual([
      120_000, 90_000, 120_000, 5_400_000,
    ]);
    for (const text of ["", "soon", "0", "-5s", "10d"])
      expect(() => budgetOf(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it("tell of a machine that is not quiet", () => {
    expect(noiseText(0.3, 2)).toBeNull();
    expect(noiseText(3, 2)).toContain("load 3.0 on 2 cores");
  });

  it("see the daemon's instances on the same device, and those alone", () => {
    const instance = (id: string, device: string, state: string) => ({ id, device, state });
    const instances = [
      instance("a@cpu", "cpu", "ready"),
      instance("b@cpu", "cpu", "absent"),
      instance("c@cuda:0", "cuda:0", "ready"),
    ];
    expect(instancesOn({ instances } as unknown as Parameters<typeof instancesOn>[0], { id: "cpu" })).toEqual([
      "a@cpu",
    ]);
  });
});
