import { expect, test } from "vitest";
import { psText } from "../../../src/ui/ps-text.ts";
import { statusText } from "../../../src/ui/status-text.ts";
import { failedInstance, fakeInstance, fakeModel, fakeStatus } from "../../fakes/status.ts";

test("status says state, address, models, devices and trouble", () => {
  const text = statusText(
    fakeStatus({
      models: [
        fakeModel({ pinned: true, queued: 2 }),
        fakeModel({ name: "lost", aliases: [], instances: 0, error: "the file is not here" }),
      ],
      instances: [fakeInstance(), failedInstance()],
      notices: [{ severity: "error", file: "/m/a.toml", line: 3, key: "x", message: "wrong" }],
      hints: ["Build it."],
    }),
    false,
  ).join("\n");
  for (const part of [
    "the daemon is running",
    "http://127.0.0.1:8080/v1",
    "1 instance ready, 2 waiting, pinned, also default",
    "the file is not here",
    "4.3 GB of 17.2 GB, 37% busy",
    "out of memory",
    "error: /m/a.toml:3: x: wrong",
    "Build it.",
  ])
    expect(text).toContain(part);
  expect(text).not.toContain("\u001b");
});

test("of hundreds of models at rest a few are shown, and all others that there is something to say of", () => {
  const idle = Array.from({ length: 200 }, (_, index) => fakeModel({ name: `idle-${index}`, instances: 0 }));
  const models = [...idle, fakeModel({ name: "ready" }), fakeModel({ name: "lost", instances: 0, error: "gone" })];
  const lines = statusText(fakeStatus({ models }), false);
  expect(lines.filter((line) => line.includes("idle-"))).toHaveLength(10);
  expect(lines.some((line) => line.includes("ready"))).toBe(true);
  expect(lines.some((line) => line.includes("gone"))).toBe(true);
  expect(lines).toContain("  and 190 more not loaded: see `assistant list`");
});

test("an empty daemon says what to do", () => {
  const text = statusText(fakeStatus({ models: [], instances: [], devices: [], url: null }), false).join("\n");
  expect(text).toContain("assistant init");
  expect(text).toContain("HTTP is disabled");
});

test("the plain ps has a line per instance and the reasons below", () => {
  const lines = psText(fakeStatus({ instances: [fakeInstance(), failedInstance()] }));
  expect(lines[0]).toContain("INSTANCE");
  expect(lines.slice(1, 3).map((line) => line.split(" ")[0])).toEqual(["big@cuda:0", "smollm2@cpu"]);
  expect(lines.at(-1)).toContain("cudaMalloc failed");
});
