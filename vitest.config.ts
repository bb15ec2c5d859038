import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Tests against fakes mostly wait: for processes, timers and sockets. */
const FAKES_AT_ONCE = 4;
/** Real engines compute, on a thread or two each, and rest while daemons start and stop. */
const ENGINES_AT_ONCE = 3;

/**
 * `isolate`: a process for each file; to load the modules anew for each takes more than half of what tests of pure code cost.
 */
const project = (name: string, settings: { testTimeoutMs: number; filesAtOnce: number; isolate?: boolean }) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.{ts,tsx}`],
    testTimeout: settings.testTimeoutMs,
    hookTimeout: settings.testTimeoutMs,
    maxWorkers: settings.filesAtOnce,
    isolate: settings.isolate ?? true,
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    // Tests of `.only` left behind would hide the others.
    allowOnly: false,
    // Threads and programs are TypeScript: with what Node.js made of it the last time they start in half the time.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, ".cache/compile-cache") },
    // The next file in the same process is not to see them.
    unstubEnvs: true,
    projects: [
      // Simulations compute for seconds, beside a compiler.
      project("unit", { testTimeoutMs: 30_000, filesAtOnce: FAKES_AT_ONCE, isolate: false }),
      project("integration", { testTimeoutMs: 60_000, filesAtOnce: FAKES_AT_ONCE, isolate: false }),
      project("conformance", { testTimeoutMs: 120_000, filesAtOnce: ENGINES_AT_ONCE }),
      project("e2e", { testTimeoutMs: 180_000, filesAtOnce: ENGINES_AT_ONCE }),
    ],
  },
});
