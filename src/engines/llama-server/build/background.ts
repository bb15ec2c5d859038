import type { Documents, DocumentType } from "../../../core/documents.ts";
import { processStartTime } from "../../../core/process.ts";

/** A background build. */
export interface BackgroundBuild {
  readonly state: "running" | "succeeded" | "failed";
  readonly pid: number;
  /** Distinguishes the process from a later one with the same id. */
  readonly processStart: string | null;
  /** How far it is, for people. */
  readonly progress: string;
  /** Version that was built; null while it is not there. */
  readonly version: string | null;
  /** What it would have built, of sources and compilers: the same need not be tried again after it failed. */
  readonly attempt: string;
  /** Why it failed, or null. */
  readonly problem: string | null;
  /** Whether its outcome has been reported. */
  readonly told: boolean;
}

const NAME = "background-build";

const documentType: DocumentType<BackgroundBuild> = {
  title: "state of the build in the background",
  schema: 1,
  durable: false,
  parse(value) {
    const build = (value ?? {}) as Partial<BackgroundBuild>;
    const known = build.state === "running" || build.state === "succeeded" || build.state === "failed";
    return known && typeof build.pid === "number" && typeof build.attempt === "string"
      ? (build as BackgroundBuild)
      : null;
  },
};

export const writeBackgroundBuild = (documents: Documents, build: BackgroundBuild): Promise<void> =>
  documents.write(NAME, documentType, build);

/** Null if there was none, or if it was ended early: the next one resumes there. */
export async function readBackgroundBuild(documents: Documents): Promise<BackgroundBuild | null> {
  const build = await documents.read(NAME, documentType);
  if (build?.state !== "running") return build;
  const start = await processStartTime(build.pid);
  return start !== null && start === build.processStart ? build : null;
}

/** The outcome of a background build, as one sentence that is reported once; null if there is nothing new. */
export async function backgroundNews(documents: Documents): Promise<string | null> {
  const build = await readBackgroundBuild(documents);
  if (build === null || build.state === "running" || build.told) return null;
  await writeBackgroundBuild(documents, { ...build, told: true });
  return build.state === "succeeded"
    ? `The native engine ${build.version} has been built; models use it from their next start.`
    : `The native engine could not be built in the background: ${firstSentence(build.problem)} \`assistant doctor\` shows details.`;
}

const firstSentence = (problem: string | null): string => {
  const [line = ""] = (problem ?? "").split("\n", 1);
  return /[.!?]$/u.test(line) ? line : `${line}.`;
};

export interface BackgroundFacts {
  /** `[engine] build_in_background`. */
  readonly enabled: boolean;
  /** Whether models already have a native engine, or the user has selected a program. */
  readonly settled: boolean;
  /** Tools that a build lacks here. */
  readonly missing: readonly string[];
  /** What would be built. */
  readonly attempt: string;
  /** The last one. */
  readonly last: BackgroundBuild | null;
}

/** Why no build is to be started in the background, or null. Pure. */
export function reasonAgainst({ enabled, settled, missing, attempt, last }: BackgroundFacts): string | null {
  if (!enabled) return "`build_in_background = false` is set in [engine] of config.toml.";
  if (settled) return "There is an engine for models already: `assistant engine list` shows it.";
  if (last?.state === "running") return `A build is under way: ${last.progress}.`;
  if (missing.length > 0) return `This machine lacks ${missing.join(", ")}.`;
  if (last?.state === "failed" && last.attempt === attempt)
    return "It failed before, and nothing has changed since: `assistant engine build` shows why.";
  return null;
}
