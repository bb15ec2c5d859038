import { defineConfig } from "vitest/config";

/**
 * Folders that start real processes run one file at a time: two engines or two daemons on a small machine
 * would measure and disturb each other.
 */
const project = (name: string, settings: { testTimeoutMs: number; parallel: boolean }) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.{ts,tsx}`],
    testTimeout: settings.testTimeoutMs,
    hookTimeout: settings.testTimeoutMs,
    fileParallelism: settings.parallel,
    maxWorkers: settings.parallel ? 2 : 1,
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    // Tests of `.only` left behind would hide the others.
    allowOnly: false,
    projects: [
      project("unit", { testTimeoutMs: 10_000, parallel: true }),
      project("integration", { testTimeoutMs: 60_000, parallel: false }),
      project("conformance", { testTimeoutMs: 120_000, parallel: false }),
      project("e2e", { testTimeoutMs: 180_000, parallel: false }),
    ],
  },
});
