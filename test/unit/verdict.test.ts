import { describe, expect, it } from "vitest";
import { judge, type Report } from "../verdict.ts";

const report = (...statuses: string[]): Report => ({
  testResults: [
    {
      name: "a.test.ts",
      status: statuses.includes("failed") ? "failed" : "passed",
      assertionResults: statuses.map((status) => ({ status, fullName: status })),
    },
  ],
});

describe("the verdict on a test run", () => {
  it("counts what passed", () => {
    expect(judge(report("passed", "passed"), 0, 0)).toEqual({ passed: 2, failed: 0, remarks: [] });
  });

  it("counts a skipped and a todo test as failed", () => {
    const verdict = judge(report("passed", "skipped", "todo"), 0, 0);
    expect(verdict).toMatchObject({ passed: 1, failed: 2 });
    expect(verdict.remarks).toEqual(["skipped: skipped", "todo: todo"]);
  });

  it("counts a file that could not be loaded", () => {
    const broken: Report = {
      testResults: [...report("passed").testResults, { name: "b.test.ts", status: "failed", message: "no such module", assertionResults: [] }],
    };
    expect(judge(broken, 1, 0)).toMatchObject({ passed: 1, failed: 1 });
  });

  it("fails when the runner crashed although no test failed", () => {
    expect(judge(report("passed"), 1, 0)).toMatchObject({ passed: 1, failed: 1 });
    expect(judge(null, 139, 0)).toMatchObject({ passed: 0, failed: 1 });
  });

  it("fails when no test ran at all", () => {
    expect(judge({ testResults: [] }, 0, 0)).toMatchObject({ passed: 0, failed: 1 });
  });

  it("adds failed lint and types to the failures", () => {
    expect(judge(report("passed"), 0, 2)).toMatchObject({ passed: 1, failed: 2 });
  });
});
