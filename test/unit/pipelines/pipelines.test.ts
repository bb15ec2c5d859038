import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PipelineSpec } from "../../../src/core/pipeline.ts";
import type { Sending } from "../../../src/core/upstream.ts";
import { Pipelines } from "../../../src/pipelines/pipelines.ts";
import { inputCall, pipelineRequestOf } from "../../../src/pipelines/request.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pipelines-"));
});
afterAll(async () => await rm(folder, { recursive: true }));

const module = async (name: string, text: string): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
};
const spec = (name: string, use: string, settings: object = {}): PipelineSpec => ({
  ...{
    name,
    description: "",
    isDefault: false,
    queueLength: 2,
    maxConcurrency: 4,
    source: null,
    awake: {},
    file: `${name}.toml`,
  },
  stages: [{ use, name: "own", section: "own", toClient: true, settings: { ...settings } }],
});
const pipelines = (): Pipelines =>
  new Pipelines({
    inference: { run: () => Promise.reject(new Error("no model is asked here")) },
    decode: () => {
      throw new Error("no chat is read here");
    },
    variable: () => undefined,
    conversations: { continued: async (_, request) => request, add: async () => {} },
    log: { info: () => {}, warn: () => {} },
  });

test("a stage is closed after the requests that run in it, and they end as they began", async () => {
  const file = await module(
    "held.mjs",
    `export const events = (globalThis.heldEvents = []);
     export const createStage = () => ({
       accepts: "text", emits: "text",
       async *run(input) { for await (const text of input) { await new Promise((go) => (globalThis.letGo = go)); yield { next: text }; } events.push("answered"); },
       async close() { events.push("closed"); },
     });`,
  );
  const held = globalThis as unknown as { heldEvents: string[]; letGo: () => void };
  const all = pipelines();
  await all.configure([spec("held", file)]);
  const cancellation = { cancelled: false, onCancel: null };
  const lost = { reason: null, onCancel: null };
  const call = { ...inputCall(pipelineRequestOf({ user: "", Input: "", text: "in", Entry: 0 })), cancellation };
  const parts: string[] = [];
  const answered = all.upstream("pipeline.held")?.send(
    { call, lost, headers: [], model: { name: "held" }, onFirstToken: () => {} } as unknown as Sending,
    {
      ...{ status: null, takesFramed: false, head: () => {}, end: () => {}, onDrain: () => {} },
      chunk: (bytes: Buffer) => parts.push(bytes.toString()) > 0,
    } as never,
  );
  await new Promise((resolve) => setImmediate(resolve));
  await all.configure([]);
  expect(held.heldEvents).toEqual([]);
  held.letGo();
  await answered;
  await all.close();
  expect(parts.join("")).toContain('{"type":"text","chunk":"in"}');
  expect(held.heldEvents).toEqual(["answered", "closed"]);
});

test("a module that fails is reported with its file, and the others serve", async () => {
  const throwing = await module("throws.mjs", 'export const createStage = () => { throw new Error("no luck"); };');
  const good = await module(
    "good.mjs",
    'export const createStage = () => ({ accepts: "text", emits: "text", async *run() {} });',
  );
  const all = pipelines();
  await all.configure([spec("bad", throwing), spec("fine", good)]);
  expect(all.list().map(({ name, state }) => [name, state])).toEqual([
    ["bad", "invalid"],
    ["fine", "ready"],
  ]);
  expect(all.list()[0]?.report).toContain(`\`createStage\` of ${throwing} failed: no luck`);
  await all.close();
});
