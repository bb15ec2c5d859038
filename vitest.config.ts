import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Tests against fakes mostly wait: for processes, timers and sockets. */
const FAKES_AT_ONCE = 4;
/** Real engines compute, on a thread or two each, and rest while daemons start and stop. */
const ENGINES_AT_ONCE = 3;

/** Begun early, so that none of them is left alone at the end; those that install packages also wait for the network. */
const LONGEST = [
  "speech",
  "swap-keeps-conversations",
  "compatibility",
  "tune",
  "ollama-clients",
  "anthropic-client",
].map((name) => `/test/e2e/${name}.test.ts`);

/** Without durations of an earlier run, vitest would begin with the largest files. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const places = LONGEST.length;
    const placeOf = ({ moduleId, project }: TestSpecification): number => {
      const place = LONGEST.findIndex((file) => moduleId.endsWith(file));
      return place >= 0 ? place : project.name === "e2e" ? places : places + 1;
    };
    return (await super.sort(files)).toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

const project = (name: string, settings: { testTimeoutMs: number; filesAtOnce: number }) => ({
  extends: true as const,
  test: {
    name,
    include: [`test/${name}/**/*.test.{ts,tsx}`],
    testTimeout: settings.testTimeoutMs,
    hookTimeout: settings.testTimeoutMs,
    maxWorkers: settings.filesAtOnce,
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    // To load the modules anew for each file takes more than half of what tests of pure code cost, and a core-second of others.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    // Tests of `.only` left behind would hide the others.
    allowOnly: false,
    // The next file in the same process is not to see them.
    unstubEnvs: true,
    projects: [
      // Simulations compute for seconds, beside a compiler.
      project("unit", { testTimeoutMs: 30_000, filesAtOnce: FAKES_AT_ONCE }),
      project("integration", { testTimeoutMs: 60_000, filesAtOnce: FAKES_AT_ONCE }),
      project("conformance", { testTimeoutMs: 120_000, filesAtOnce: ENGINES_AT_ONCE }),
      project("e2e", { testTimeoutMs: 180_000, filesAtOnce: ENGINES_AT_ONCE }),
    ],
  },
});
