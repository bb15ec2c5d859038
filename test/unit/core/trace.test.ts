import { expect, test } from "vitest";
import { spanOf, traceHeadersOf } from "../../../src/core/trace.ts";

const ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const traceparent = `00-${ID}-${PARENT}-01`;

test.each([
  ["of this version", traceparent, true],
  ["of a later version, with more", `01-${ID}-${PARENT}-01-more`, true],
  ["with more than its version has", `${traceparent}-more`, false],
  ["of a version that cannot be", `ff-${ID}-${PARENT}-01`, false],
  ["without a trace", `00-${"0".repeat(32)}-${PARENT}-01`, false],
  ["without a parent", `00-${ID}-${"0".repeat(16)}-01`, false],
  ["in upper case", traceparent.toUpperCase(), false],
  ["empty", "", false],
])("a traceparent %s", (_, written, isValid) => {
  expect(traceHeadersOf({ traceparent: written })).toEqual(isValid ? { traceparent: written } : null);
});

test("a state that is too long is left out, and the trace goes on", () => {
  expect(traceHeadersOf({ traceparent, tracestate: "a=1" })).toEqual({ traceparent, tracestate: "a=1" });
  expect(traceHeadersOf({ traceparent, tracestate: `a=${"1".repeat(512)}` })).toEqual({ traceparent });
});

test("without a tracer a trace is passed on as it came, and a request without one has none", () => {
  const never = (): never => {
    throw new Error("asked what to record");
  };
  expect(spanOf(null, {}, "", never)).toBeNull();
  const span = spanOf(null, { traceparent, tracestate: "a=1" }, "", never);
  expect(span?.traceId).toBe(ID);
  expect(span?.child("anything").headers).toEqual({ traceparent, tracestate: "a=1" });
});
