import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { AssistantError } from "../../../src/core/errors.ts";
import { nodeReference } from "../../../src/models/pull/node.ts";
import type { NodeModel, NodeStore } from "../../../src/models/pull.ts";
import { ggufLike, quick, sha256, testStore } from "../../support/store.ts";

const body = ggufLike(50_000);
const model: NodeModel = {
  name: "river",
  files: null,
  bytes: body.length,
  sha256: sha256(body),
  reference: "",
  licence: "",
};
const broken = (): AssistantError => new AssistantError("node_unavailable", "it broke off");
const quickly = { timing: { ...quick, retryMs: 0 } };

interface FakeNode extends NodeStore {
  readonly offsets: number[];
}

/** Sends `bytes` in parts; each call breaks after as many bytes as `breaks` says, the ones after those do not. */
function fakeNode(
  breaks: readonly number[] = [],
  { told = model, bytes = body, fault = broken }: { told?: NodeModel; bytes?: Buffer; fault?: () => Error } = {},
): FakeNode {
  const offsets: number[] = [];
  return {
    node: "b",
    offsets,
    describe: async () => told,
    async *fetch(_model, offset) {
      const limit = breaks[offsets.length];
      offsets.push(offset);
      const end = limit === undefined ? bytes.length : Math.min(bytes.length, offset + limit);
      for (let at = offset; at < end; at += 7_000) yield bytes.subarray(at, Math.min(end, at + 7_000));
      if (limit !== undefined) throw fault();
    },
  };
}

test("a transfer that breaks again and again arrives, each time from where it stopped", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 8 }), async (breaks) => {
      await using store = await testStore();
      const from = fakeNode(breaks);
      const pulled = await store.pull("river", { from, ...quickly });
      expect(pulled).toMatchObject({
        name: "river",
        sha256: sha256(body),
        reference: "node:b/river",
        source: "remote server b",
        alreadyPresent: false,
      });
      expect(await readFile(pulled.file)).toEqual(body);
      let at = 0;
      for (const [index, offset] of from.offsets.entries()) {
        expect(offset).toBe(at);
        at += breaks[index] ?? 0;
      }
    }),
    { numRuns: 25 },
  );
});

test("without any progress it is given up, and what has arrived is kept for another machine with the same bytes", async () => {
  await using store = await testStore();
  const from = fakeNode([30_000, 0, 0, 0, 0]);
  await expect(store.pull("river", { from, ...quickly })).rejects.toMatchObject({
    code: "node_unavailable",
    message: "it broke off",
  });
  expect(from.offsets).toEqual([0, 30_000, 30_000]);
  expect(await store.files()).toEqual([".river.partial", ".river.partial.json"]);
  const other = { ...fakeNode(), node: "c" };
  expect((await store.pull("river", { from: other, ...quickly })).source).toBe("remote server c");
  expect(other.offsets).toEqual([30_000]);
});

test("what the other machine refuses is not asked again", async () => {
  await using store = await testStore();
  const from = fakeNode([10_000, 0], { fault: () => new AssistantError("model_not_found", "it is gone") });
  await expect(store.pull("river", { from, ...quickly })).rejects.toMatchObject({ code: "model_not_found" });
  expect(from.offsets).toEqual([0]);
});

test("old bytes that do not fit the new ones are loaded once more from the start", async () => {
  await using store = await testStore();
  const wrong = Buffer.from(body);
  wrong[100] = (wrong[100] ?? 0) ^ 1;
  await expect(store.pull("river", { from: fakeNode([20_000, 0, 0], { bytes: wrong }), ...quickly })).rejects.toThrow(
    "it broke off",
  );
  const from = fakeNode();
  expect((await store.pull("river", { from, ...quickly })).sha256).toBe(sha256(body));
  expect(from.offsets).toEqual([20_000, 0]);
});

test("bytes that are wrong, too few or too many never become a model", async () => {
  await using store = await testStore();
  const wrong = fakeNode([], { bytes: ggufLike(body.length) });
  await expect(store.pull("river", { from: wrong, ...quickly })).rejects.toMatchObject({ code: "digest_mismatch" });
  expect(await store.files()).toEqual([]);
  const more = fakeNode([], { bytes: Buffer.concat([body, Buffer.alloc(10)]) });
  await expect(store.pull("river", { from: more, ...quickly })).rejects.toThrow(
    `more than the announced ${body.length} bytes`,
  );
  const less = fakeNode([], { bytes: body.subarray(0, 40_000) });
  await expect(store.pull("other", { from: less, ...quickly })).rejects.toThrow(
    `ended at 40000 of ${body.length} bytes`,
  );
  expect((await store.files()).filter((file) => file.endsWith(".gguf"))).toEqual([]);
});

test("the same bytes are not fetched twice, other bytes of the name are refused, and `--name` makes room", async () => {
  await using store = await testStore();
  await store.pull("river", { from: fakeNode(), ...quickly });
  const again = fakeNode();
  expect((await store.pull("river", { from: again, ...quickly })).alreadyPresent).toBe(true);
  const others = ggufLike(60_000);
  const other = fakeNode([], { bytes: others, told: { ...model, bytes: others.length, sha256: sha256(others) } });
  await expect(store.pull("river", { from: other, ...quickly })).rejects.toMatchObject({ code: "file_exists" });
  expect([...again.offsets, ...other.offsets]).toEqual([]);
  expect((await store.pull("river", { from: other, name: "second", ...quickly })).file).toBe(
    join(store.dir, "second.gguf"),
  );
  // A name that is none for a file becomes one.
  const odd = fakeNode([], { told: { ...model, name: "team:river+1" } });
  expect((await store.pull("x", { from: odd, ...quickly })).name).toBe("team-river-1");
});

test("a cancelled transfer ends with the reason and keeps its bytes", async () => {
  await using store = await testStore();
  const stop = new AbortController();
  const reason = new Error("enough");
  const inner = fakeNode();
  const from: NodeStore = {
    ...inner,
    async *fetch(...given) {
      for await (const part of inner.fetch(...given)) {
        yield part;
        stop.abort(reason);
        given[3].throwIfAborted();
      }
    },
  };
  await expect(store.pull("river", { from, signal: stop.signal, ...quickly })).rejects.toBe(reason);
  expect(await store.files()).toEqual([".river.partial", ".river.partial.json"]);
});

test("a name of the catalog is for the catalog's bytes alone", async () => {
  await using store = await testStore();
  const from = fakeNode([], { told: { ...model, name: "smollm2", reference: "smollm2" } });
  await expect(store.pull("smollm2", { from, ...quickly })).rejects.toMatchObject({ code: "digest_mismatch" });
  expect(from.offsets).toEqual([]);
});

test("what the other machine calls the source is kept where it can be right", () => {
  const catalog = { ...model, sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" };
  expect(nodeReference("b", { ...catalog, reference: "smollm2" })).toBe("smollm2");
  expect(nodeReference("b", { ...model, reference: "smollm2" })).toBe("node:b/river");
  expect(nodeReference("b", { ...model, reference: "hf:org/repo/file.gguf" })).toBe("hf:org/repo/file.gguf");
  for (const reference of ["", "hf:org", "hf:org/repo", "hf:../x/y.gguf", "/etc/passwd", "https://example.com/x.gguf"])
    expect(nodeReference("b", { ...model, reference })).toBe("node:b/river");
});
