import { readFileSync, writeFileSync } from "node:fs";

/** What vitest's JSON report says, as far as it is read here. */
export interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  /** What failed and why, so that the end of a long output tells it; a few lines each. */
  readonly remarks: readonly string[];
}

/** One run of the test runner. */
export interface Run {
  /** Null where the runner wrote none, or one that cannot be read. */
  readonly report: Report | null;
  readonly exitCode: number;
}

/**
 * Counts runs and the checks before them. A skipped or unfinished test counts as failed, as does a file that could not
 * be loaded, each failed check, and a runner that ended badly although no test failed.
 */
export function judge(runs: readonly Run[], failedChecks: number): Verdict {
  const verdicts = runs.map(judgeRun);
  const remarks = verdicts.flatMap((verdict) => verdict.remarks);
  if (failedChecks > 0) remarks.unshift(`${failedChecks} of lint and types failed`);
  const sum = (count: (verdict: Verdict) => number): number =>
    verdicts.reduce((total, verdict) => total + count(verdict), 0);
  // No run at all is no success.
  return {
    passed: sum(({ passed }) => passed),
    failed: sum(({ failed }) => failed) + failedChecks + (runs.length === 0 ? 1 : 0),
    remarks,
  };
}

function judgeRun({ report, exitCode }: Run): Verdict {
  const remarks: string[] = [];
  let passed = 0;
  let failed = 0;
  for (const file of report?.testResults ?? []) {
    for (const { status, fullName, failureMessages = [] } of file.assertionResults) {
      if (status === "passed") passed++;
      else failed++;
      if (status !== "passed")
        remarks.push([`${status}: ${file.name}: ${fullName}`, ...failureMessages.map(shorten)].join("\n  "));
    }
    if (file.status === "failed" && !file.assertionResults.some(({ status }) => status === "failed")) {
      failed++;
      remarks.push(`could not run: ${file.name}${file.message ? `: ${file.message}` : ""}`);
    }
  }
  if (report === null) remarks.push("the test runner wrote no report");
  else if (passed + failed === 0) remarks.push("no test was run");
  if (exitCode !== 0) remarks.push(`the test runner ended with ${exitCode}`);
  if (failed === 0 && (exitCode !== 0 || passed === 0)) failed = 1;
  return { passed, failed, remarks };
}

const MESSAGE_LINES = 12;

const shorten = (message: string): string => message.split("\n").slice(0, MESSAGE_LINES).join("\n  ");

/**
 * `verdict.ts FILE FAILED-CHECKS [REPORT EXIT-CODE]…`: prints the count as the last line, and writes it to the file
 * too.
 */
function main([verdictFile = "", failedChecks = "", ...rest]: readonly string[]): void {
  const runs: Run[] = [];
  for (let at = 0; at < rest.length; at += 2)
    runs.push({ report: readReport(rest[at] ?? ""), exitCode: Number(rest[at + 1] ?? 1) });
  const { passed, failed, remarks } = judge(runs, Number(failedChecks));
  const line = `${passed} passed, ${failed} failed`;
  if (failed > 0) for (const remark of remarks) console.log(remark);
  console.log(line);
  writeFileSync(verdictFile, `${line}\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}

function readReport(file: string): Report | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    // A runner that crashed wrote none, or half of one.
    return null;
  }
}

if (import.meta.main) main(process.argv.slice(2));
