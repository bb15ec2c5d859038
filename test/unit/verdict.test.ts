import { describe, expect, it } from "vitest";
import { judge, type Report, type Run } from "../verdict.ts";

const report = (...statuses: string[]): Report => ({
  testResults: [
    {
      name: "a.test.ts",
      status: statuses.includes("failed") ? "failed" : "passed",
      assertionResults: statuses.map((status) => ({ status, fullName: status })),
    },
  ],
});

const run = (report: Report | null, exitCode = 0): Run => ({ report, exitCode });

describe("the verdict on a test run", () => {
  it("counts what passed", () => {
    expect(judge([run(report("passed", "passed"))], 0)).toEqual({ passed: 2, failed: 0, remarks: [] });
  });

  it("adds several runs up", () => {
    expect(judge([run(report("passed", "passed")), run(report("passed", "failed"), 1)], 0)).toMatchObject({
      passed: 3,
      failed: 1,
    });
  });

  it("counts a skipped and a todo test as failed", () => {
    const verdict = judge([run(report("passed", "skipped", "todo"))], 0);
    expect(verdict).toMatchObject({ passed: 1, failed: 2 });
    expect(verdict.remarks).toEqual(["skipped: a.test.ts: skipped", "todo: a.test.ts: todo"]);
  });

  it("says which tests failed and the first lines of why", () => {
    const failureMessages = [`AssertionError: expected 1 to be 2\n${"at somewhere\n".repeat(30)}`];
    const failed: Report = {
      testResults: [
        {
          name: "a.test.ts",
          status: "failed",
          assertionResults: [{ status: "failed", fullName: "adds", failureMessages }],
        },
      ],
    };
    const [remark = ""] = judge([run(failed, 1)], 0).remarks;
    expect(remark).toMatch(/^failed: a\.test\.ts: adds\n {2}AssertionError: expected 1 to be 2\n/u);
    expect(remark.split("\n").length).toBe(13);
  });

  it("counts a file that could not be loaded", () => {
    const broken: Report = {
      testResults: [
        ...report("passed").testResults,
        { name: "b.test.ts", status: "failed", message: "no such module", assertionResults: [] },
      ],
    };
    expect(judge([run(broken, 1)], 0)).toMatchObject({ passed: 1, failed: 1 });
  });

  it("fails when a runner crashed although no test failed", () => {
    expect(judge([run(report("passed"), 1)], 0)).toMatchObject({ passed: 1, failed: 1 });
    expect(judge([run(null, 139)], 0)).toMatchObject({ passed: 0, failed: 1 });
    expect(judge([run(report("passed")), run(null, 139)], 0)).toMatchObject({ passed: 1, failed: 1 });
  });

  it("fails when no test ran at all, in any of the runs", () => {
    expect(judge([run({ testResults: [] })], 0)).toMatchObject({ passed: 0, failed: 1 });
    expect(judge([run(report("passed")), run({ testResults: [] })], 0)).toMatchObject({ passed: 1, failed: 1 });
    expect(judge([], 0)).toMatchObject({ passed: 0, failed: 1 });
  });

  it("adds failed lint and types to the failures", () => {
    expect(judge([run(report("passed"))], 2)).toMatchObject({
      passed: 1,
      failed: 2,
      remarks: ["2 of lint and types failed"],
    });
  });
});
