import { describe, expect, it } from "vitest";
import { fractionOf, reasonOf } from "../../../../src/engines/llama-server/build/progress.ts";
import { buildPhaseText, buildStatusLine } from "../../../../src/engines/llama-server/build/status-line.ts";

describe("progress of a build", () => {
  it("reads ninja's and make's counters and no other brackets", () => {
    expect(fractionOf("[12/48] Building CXX object a.o")).toBe(0.25);
    expect(fractionOf("[ 42%] Building CXX object a.o")).toBe(0.42);
    expect(fractionOf("[100%] Linking")).toBe(1);
    expect(fractionOf("warning: array[1/2] is odd")).toBeNull();
    expect(fractionOf("[0/0] nothing")).toBeNull();
  });

  it("shows a bar and a forecast once there is something to go by", () => {
    const line = buildStatusLine({ phase: "compile", fraction: 0.5, elapsedMs: 130_000 }, 10_000);
    expect(line).toBe("Compiling [############............] 50 %, about 2 min left");
    expect(buildStatusLine({ phase: "compile", fraction: 0.01, elapsedMs: 12_000 }, 10_000)).not.toContain("left");
    expect(buildStatusLine({ phase: "compile", fraction: 0.9, elapsedMs: 100_000 }, 10_000)).toContain(
      "about 10 s left",
    );
    expect(buildStatusLine({ phase: "unpack", fraction: null, elapsedMs: 1 }, null)).toBe("Unpacking the source");
  });

  it("says it in a few words where there is no terminal", () => {
    expect(buildPhaseText({ phase: "compile", fraction: 0.347, elapsedMs: 1 })).toBe("Compiling, 34 %");
    expect(buildPhaseText({ phase: "check", fraction: null, elapsedMs: 1 })).toBe("Checking the new program");
  });

  it("names the compiler's errors as the reason, or the last lines where there are none", () => {
    expect(reasonOf(["[1/2] a", "a.cpp:1:1: error: expected ';'", "ninja: build stopped"])).toBe(
      "a.cpp:1:1: error: expected ';'",
    );
    expect(reasonOf(["one", "", "two"], 1)).toBe("two");
  });
});
