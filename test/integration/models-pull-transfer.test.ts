import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../fakes/hub.ts";
import { ggufLike, sha256, type TestStore, testStore } from "../support/store.ts";

let hub: Hub;
let store: TestStore;
const body = ggufLike(200_000);
const url = () => `${hub.url}/m.gguf`;

beforeEach(async () => {
  hub = await startHub();
  store = await testStore();
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** Leaves an unfinished download of `body` behind. */
async function interrupt(what: { etag?: null; sha256?: string } = {}): Promise<void> {
  hub.set("/m.gguf", { body, pieceMs: 5, ...(what.etag === null ? { etag: null } : {}) });
  const stop = new AbortController();
  const reason = new Error("enough");
  const stopped = store.pull(url(), {
    sha256: what.sha256 ?? null,
    signal: stop.signal,
    onProgress: ({ bytes }) => bytes > 0 && stop.abort(reason),
  });
  await expect(stopped).rejects.toBe(reason);
  expect(await store.files()).toEqual([".m.partial", ".m.partial.json"]);
}

describe("a transfer", () => {
  it("arrives whole, with a manifest, and is not made twice", async () => {
    hub.set("/m.gguf", { body });
    const first = await store.pull(url());
    expect(first).toMatchObject({
      name: "m",
      bytes: body.length,
      sha256: sha256(body),
      reference: url(),
      alreadyPresent: false,
    });
    expect(await readFile(first.file)).toEqual(body);
    expect(await store.files()).toEqual(["m.gguf", "m.json"]);
    expect((await store.pull(url())).alreadyPresent).toBe(true);
    expect(hub.requests).toHaveLength(1);
    expect(store.progress.at(-1)).toMatchObject({ phase: "verify", bytes: body.length });
    expect(store.progress.some(({ phase, totalBytes }) => phase === "download" && totalBytes === body.length)).toBe(
      true,
    );
  });

  it("goes on where the connection was cut", async () => {
    // Large beside the buffers on the way: what they hold when the connection breaks is lost.
    const large = ggufLike(2_000_000);
    hub.set("/m.gguf", { body: large, cutAfter: [800_000, 700_000] });
    const pulled = await store.pull(url());
    expect(pulled.sha256).toBe(sha256(large));
    expect(hub.requests.map(({ status }) => status)).toEqual([200, 206, 206]);
    expect(hub.requests[1]?.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(hub.requests[1]?.ifRange).toMatch(/^"/);
  });

  it("is kept when it is cancelled, and the next pull goes on there", async () => {
    await interrupt();
    hub.set("/m.gguf", { body });
    expect(await readFile((await store.pull(url())).file)).toEqual(body);
    expect(hub.requests.at(-1)).toMatchObject({ status: 206 });
    expect(await store.files()).toEqual(["m.gguf", "m.json"]);
  });

  it("starts anew when the source changed meanwhile", async () => {
    await interrupt();
    const changed = ggufLike(120_000);
    hub.set("/m.gguf", { body: changed });
    expect(await readFile((await store.pull(url())).file)).toEqual(changed);
    expect(hub.requests.at(-1)).toMatchObject({ status: 200 });
  });

  it("is made once more when old and new bytes do not fit together", async () => {
    // Without a validator only the digest can tell.
    const changed = ggufLike(200_000);
    const digest = sha256(changed);
    await interrupt({ etag: null, sha256: digest });
    hub.set("/m.gguf", { body: changed, etag: null });
    expect((await store.pull(url(), { sha256: digest })).sha256).toBe(digest);
    expect(hub.requests.slice(-2).map(({ status }) => status)).toEqual([206, 200]);
  });

  it("that stalls ends after seconds and says so", async () => {
    hub.set("/m.gguf", { body, stallAfter: 0 });
    const startedAt = performance.now();
    await expect(store.pull(url())).rejects.toMatchObject({
      code: "pull_failed",
      message: expect.stringMatching(/sent nothing for 0.4 s|did not answer/),
    });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it("with the wrong digest is deleted, and both digests are named", async () => {
    hub.set("/m.gguf", { body });
    const expected = sha256(Buffer.from("other"));
    await expect(store.pull(url(), { sha256: expected })).rejects.toMatchObject({
      code: "digest_mismatch",
      message: expect.stringContaining(`expected SHA-256 ${expected}, found ${sha256(body)}`),
    });
    expect(await store.files()).toEqual([]);
  });

  it("of something that is no GGUF is refused and deleted", async () => {
    hub.set("/m.gguf", { body: Buffer.from("<!doctype html><p>Sign in") });
    await expect(store.pull(url())).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringContaining("a web page"),
    });
    expect(await store.files()).toEqual([]);
  });

  it("that is missing names the status", async () => {
    await expect(store.pull(url())).rejects.toMatchObject({
      code: "pull_failed",
      message: expect.stringContaining("404 Not Found"),
    });
  });

  it("does not begin when the disk has no room, and says how much is missing", async () => {
    hub.set("/m.gguf", { body });
    await expect(store.pull(url(), { free: async () => 1000 })).rejects.toMatchObject({
      code: "disk_full",
      message: expect.stringMatching(/1\.0 kB free; 200 kB are needed/),
    });
    expect(await store.files()).toEqual([]);
  });

  it("without a stated length ends before it has filled the disk", async () => {
    const piece = Buffer.alloc(2 ** 20);
    let sentMib = 0;
    const server = createServer((_request, response) => {
      const endless = new Readable({
        read() {
          sentMib += 1;
          this.push(piece);
        },
      });
      endless.pipe(response);
      response.on("close", () => endless.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m.gguf`;
      const free = async () => 2 ** 30 + (20 - sentMib) * 2 ** 20;
      await expect(store.pull(address, { free })).rejects.toMatchObject({ code: "disk_full" });
      expect(sentMib).toBeLessThan(100);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
