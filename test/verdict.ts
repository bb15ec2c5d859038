import { readFileSync, writeFileSync } from "node:fs";

/** What vitest's JSON report says, as far as it is read here. */
export interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  /** What failed without being a failed test, one line each. */
  readonly remarks: readonly string[];
}

/**
 * Counts a run. A skipped or unfinished test counts as failed, as does a file that could not be loaded, each failed
 * check before the tests, and a runner that ended badly although no test failed.
 */
export function judge(report: Report | null, runnerExit: number, failedChecks: number): Verdict {
  const remarks: string[] = [];
  if (failedChecks > 0) remarks.push(`${failedChecks} of lint and types failed`);
  let passed = 0;
  let failed = failedChecks;
  for (const file of report?.testResults ?? []) {
    for (const { status, fullName } of file.assertionResults) {
      if (status === "passed") passed++;
      else failed++;
      if (status !== "passed" && status !== "failed") remarks.push(`${status}: ${fullName}`);
    }
    if (file.status === "failed" && !file.assertionResults.some(({ status }) => status === "failed")) {
      failed++;
      remarks.push(`could not run: ${file.name}${file.message ? `: ${file.message}` : ""}`);
    }
  }
  if (report === null) remarks.push("the test runner wrote no report");
  else if (passed + failed === failedChecks) remarks.push("no test was run");
  if (runnerExit !== 0) remarks.push(`the test runner ended with ${runnerExit}`);
  if (failed === 0 && (runnerExit !== 0 || report === null || passed === 0)) failed = 1;
  return { passed, failed, remarks };
}

function main([reportFile = "", runnerExit = "1", failedChecks = "0", verdictFile = ""]: readonly string[]): void {
  let report: Report | null = null;
  try {
    report = JSON.parse(readFileSync(reportFile, "utf8")) as Report;
  } catch {
    // A runner that crashed wrote none, or half of one: judged below.
  }
  const { passed, failed, remarks } = judge(report, Number(runnerExit), Number(failedChecks));
  const line = `${passed} passed, ${failed} failed`;
  if (failed > 0) for (const remark of remarks) console.log(remark);
  console.log(line);
  writeFileSync(verdictFile, `${line}\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}

if (import.meta.main) main(process.argv.slice(2));
