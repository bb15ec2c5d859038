import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Documents } from "../../../../src/core/documents.ts";
import { processStartTime } from "../../../../src/core/process.ts";
import {
  type BackgroundBuild,
  type BackgroundFacts,
  backgroundNews,
  readBackgroundBuild,
  reasonAgainst,
  writeBackgroundBuild,
} from "../../../../src/engines/llama-server/build/background.ts";
import { documentsIn } from "../../../support/store.ts";

let root: string;
let documents: Documents;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-background-"));
  documents = documentsIn(root);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const buildOf = async (more: Partial<BackgroundBuild>): Promise<BackgroundBuild> => ({
  state: "running",
  pid: process.pid,
  processStart: await processStartTime(process.pid),
  progress: "Compiling",
  version: null,
  attempt: "a",
  problem: null,
  told: false,
  ...more,
});

describe("a build in the background", () => {
  it("runs as long as its process does", async () => {
    expect(await readBackgroundBuild(documents)).toBe(null);
    await writeBackgroundBuild(documents, await buildOf({}));
    expect(await readBackgroundBuild(documents)).toMatchObject({ state: "running", progress: "Compiling" });
    // The same id, of a process that was started at another time.
    await writeBackgroundBuild(documents, await buildOf({ processStart: "long ago" }));
    expect(await readBackgroundBuild(documents)).toBe(null);
  });

  it("is told of once when it has ended, and not before", async () => {
    await writeBackgroundBuild(documents, await buildOf({}));
    expect(await backgroundNews(documents)).toBe(null);
    await writeBackgroundBuild(documents, await buildOf({ state: "succeeded", version: "v1-a" }));
    expect(await backgroundNews(documents)).toContain("The native engine v1-a has been built");
    expect(await backgroundNews(documents)).toBe(null);
  });

  it("tells why it failed, and stays known to have", async () => {
    await writeBackgroundBuild(documents, await buildOf({ state: "failed", problem: "No compiler\nmore" }));
    expect(await backgroundNews(documents)).toBe(
      "The native engine could not be built in the background: No compiler. `assistant doctor` shows details.",
    );
    expect(await backgroundNews(documents)).toBe(null);
    expect(await readBackgroundBuild(documents)).toMatchObject({ state: "failed", problem: "No compiler\nmore" });
  });
});

describe("whether one is started", () => {
  const fresh: BackgroundFacts = { enabled: true, settled: false, missing: [], attempt: "a", last: null };
  const reason = (facts: Partial<BackgroundFacts>): string | null => reasonAgainst({ ...fresh, ...facts });

  it("is so on a machine with compilers and without a native engine", async () => {
    expect(reason({})).toBe(null);
    expect(reason({ missing: ["cmake", "c++"] })).toContain("lacks cmake, c++");
    expect(reason({ settled: true })).toContain("engine list");
    expect(reason({ enabled: false })).toContain("build_in_background");
  });

  it("is not while one runs, and not again after the same one failed", async () => {
    expect(reason({ last: await buildOf({}) })).toContain("under way: Compiling");
    expect(reason({ last: await buildOf({ state: "failed" }) })).toContain("failed before");
    expect(reason({ last: await buildOf({ state: "failed", attempt: "b" }) })).toBe(null);
  });
});
