import { readFile, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daemonClient } from "../../src/client/daemon-client.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { eventually } from "../support/assistant.ts";
import { allUp, chatBody, freeAddress, NodeGroup, postChat, type TestNode } from "../support/nodes.ts";

// Whole daemons on loopback, each with a fake engine behind its models.

const one = { tokens: 1 };
const served = (response: Response): string | null => response.headers.get("x-assistant-instance");
const inFlight = async (node: TestNode): Promise<number> =>
  (await node.status()).instances.reduce((sum, instance) => sum + instance.inFlight, 0);

describe("a model that only another machine has", () => {
  const pair = new NodeGroup();
  let a: TestNode;
  let b: TestNode;
  beforeAll(async () => {
    b = await pair.start({ models: { river: 'model_alias = "stream"\nctx_size = 512\nslots = 1\n' } });
    a = await pair.start({ models: { lake: "" }, remotes: [{ name: "b", grpc: b.grpc }] });
    await allUp(a);
  });
  afterAll(pair.end);

  test("is listed, found by its aliases, and served from there", async () => {
    const list = (await (await fetch(`${a.url}/v1/models`)).json()) as { data: { id: string; owned_by: string }[] };
    expect(list.data.map(({ id, owned_by: owner }) => [id, owner])).toEqual([
      ["lake", "assistant"],
      ["river", "b"],
    ]);
    const response = await postChat(a.url, chatBody("stream", one), { "x-request-id": "through-1" });
    expect(response.status).toBe(200);
    expect(served(response)).toBe("remote:b");
    expect(response.headers.get("x-request-id")).toBe("through-1");
    // The other machine is asked by the model's own name.
    expect((await b.record()).bodies.map((body) => (JSON.parse(body) as { model: string }).model)).toContain("river");
    const status = await a.status();
    expect(status.models.find(({ name }) => name === "river")).toMatchObject({ engine: "remote", error: null });
    expect(status.instances).toEqual([]);

    const listed = await a.assistant.run(["node", "list"]);
    expect(listed.stdout).toMatch(/^b +127\.0\.0\.1:\d+ +up +\d+\.\d+\.\d+ +1 +0 +1 /m);
    expect(listed.stdout).toContain("river");
  });

  test("what another machine refuses about a request is the client's to read", async () => {
    const long = JSON.stringify({ model: "river", messages: [{ role: "user", content: "word ".repeat(2_000) }] });
    const response = await postChat(a.url, long);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "context_length_exceeded" } });
  });

  test("tokens come one by one through another machine, and the client's leaving stops its engine", async () => {
    await postChat(a.url, chatBody("river", one));
    const before = await b.record();
    const abort = new AbortController();
    const response = await postChat(
      a.url,
      chatBody("river", { tokens: 3_000, decodeDelayMs: 30 }, true),
      {},
      abort.signal,
    );
    const times: number[] = [];
    const reader = response.body?.getReader();
    while (times.length < 8) if ((await reader?.read())?.value) times.push(performance.now());
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(100);
    abort.abort();
    await reader?.closed.catch(() => {});
    await eventually(
      "the engine over there has stopped",
      async () => (await b.record()).aborted === before.aborted + 1,
      5_000,
    );
    await eventually(
      "nothing is in flight",
      async () => (await a.nodes())[0]?.inFlight === 0 && (await inFlight(b)) === 0,
      5_000,
    );
  });

  test("tokens are counted here and on another machine while all slots are busy", async () => {
    const abort = new AbortController();
    const long = postChat(a.url, chatBody("river", { tokens: 5_000, decodeDelayMs: 10 }), {}, abort.signal).catch(
      () => null,
    );
    await eventually("the slot is busy", async () => (await inFlight(b)) === 1);
    const post = (url: string, path: string, body: object): Promise<Response> =>
      fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "river", ...body }),
      });
    const chat = { messages: [{ role: "user", content: "Name three rivers." }] };
    for (const url of [b.url, a.url]) {
      const tokens = await post(url, "/tokenize", { content: "Name a river" });
      expect([tokens.status, await tokens.json()]).toEqual([
        200,
        { tokens: [expect.any(Number), expect.any(Number), expect.any(Number)] },
      ]);
      expect(await (await post(url, "/v1/chat/completions/input_tokens", chat)).json()).toMatchObject({
        input_tokens: 4,
      });
      expect(await (await post(url, "/v1/messages/count_tokens", chat)).json()).toEqual({ input_tokens: 4 });
      expect(await (await fetch(`${url}/props?model=river`)).json()).toMatchObject({ total_slots: 1 });
    }
    await eventually("the slot is still busy, and it alone", async () => (await inFlight(b)) === 1);
    abort.abort();
    await long;
  });

  test("a request that may not be forwarded again is refused where only others have the model", async () => {
    const response = await postChat(a.url, chatBody("river", one), { "x-assistant-hops": "n1,n2,n3,n4" });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: "node_unavailable" } });
    expect((await postChat(a.url, chatBody("river", one), { "x-assistant-hops": "not an id!" })).status).toBe(400);
  });

  test("a reload lets removed servers go and takes others up", async () => {
    const file = a.assistant.env["ASSISTANT_CONFIG"] ?? "";
    const before = await readFile(file, "utf8");
    const entry = `[[remote_servers]]\nname = "b"\ngrpc_addr = "${b.grpc}"\n`;
    expect(before).toContain(entry);
    await writeFile(file, before.replace(entry, ""));
    await a.assistant.reload();
    await eventually(
      "the model has gone with its server",
      async () => (await postChat(a.url, chatBody("river", one))).status === 404,
      5_000,
    );
    expect(await a.nodes()).toEqual([]);
    await writeFile(file, before);
    await a.assistant.reload();
    await allUp(a);
    expect((await postChat(a.url, chatBody("river", one))).status).toBe(200);
  });
});

describe("machines that have the same model and name each other", () => {
  const pair = new NodeGroup();
  let a: TestNode;
  let b: TestNode;
  beforeAll(async () => {
    const [addressA, addressB] = [await freeAddress(), await freeAddress()];
    [a, b] = await Promise.all([
      pair.start({
        models: { river: "slots = 1\n" },
        env: { ASSISTANT_GRPC_ADDR: addressA },
        remotes: [{ name: "b", grpc: addressB }],
      }),
      pair.start({
        models: { river: "slots = 4\n" },
        env: { ASSISTANT_GRPC_ADDR: addressB },
        remotes: [{ name: "a", grpc: addressA }],
      }),
    ]);
    await Promise.all([allUp(a), allUp(b)]);
  });
  afterAll(pair.end);

  /** Keeps the one slot of `a` busy until the result is called. */
  const occupy = async (): Promise<() => Promise<unknown>> => {
    const abort = new AbortController();
    const body = chatBody("river", { tokens: 5_000, decodeDelayMs: 10 });
    const ended = postChat(a.url, body, {}, abort.signal).catch(() => null);
    await eventually("the instance here is busy", async () => (await inFlight(a)) === 1);
    return () => {
      abort.abort();
      return ended;
    };
  };

  test("the other one gets what comes while all instances here are busy, and nothing else", async () => {
    // What is not loaded here is loaded here: a start comes before another machine.
    expect(served(await postChat(a.url, chatBody("river", one)))).toBe("river@cpu");
    expect(served(await postChat(a.url, chatBody("river", one)))).toBe("river@cpu");
    const release = await occupy();
    const answers = await Promise.all([1, 2, 3].map(() => postChat(a.url, chatBody("river", one))));
    expect(answers.map(served)).toEqual(["remote:b", "remote:b", "remote:b"]);
    await release();
    await eventually("the instance here is free", async () => (await inFlight(a)) === 0);
    expect(served(await postChat(a.url, chatBody("river", one)))).toBe("river@cpu");
  });

  test("a request goes in no circle", async () => {
    await Promise.all([a, b].map((node) => postChat(node.url, chatBody("river", one))));
    const completed = async (): Promise<number> =>
      (await Promise.all([a.record(), b.record()])).reduce((sum, record) => sum + record.completed, 0);
    const before = await completed();
    const sent = 12;
    const answers = await Promise.all(
      Array.from({ length: sent }, (_, index) =>
        postChat(index % 2 === 0 ? a.url : b.url, chatBody("river", { tokens: 4, decodeDelayMs: 20 })),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: sent }, () => 200));
    expect(await completed()).toBe(before + sent);
    // A request that has been here is served here or nowhere.
    const { nodeId } = await daemonClient(resolvePaths(a.assistant.env)).nodes();
    const release = await occupy();
    const returned = postChat(a.url, chatBody("river", one), { "x-assistant-hops": `other, ${nodeId}` });
    await eventually("it waits here", async () => (await a.status()).queued === 1, 5_000);
    await release();
    expect(served(await returned)).toBe("river@cpu");
  });
});

describe("several machines that have a model", () => {
  const group = new NodeGroup();
  let a: TestNode;
  let b: TestNode;
  let c: TestNode;
  beforeAll(async () => {
    const preloaded = { models: { river: "slots = 4\npreload = true\n" } };
    const [d, ...loaded] = await Promise.all([
      group.start({ models: { river: "" } }),
      group.start(preloaded),
      group.start(preloaded),
    ]);
    [b, c] = loaded;
    await Promise.all(
      loaded.map((node) => eventually("it is loaded", async () => (await node.status()).models[0]?.instances === 1)),
    );
    a = await group.start({
      remotes: [
        { name: "b", grpc: b.grpc, extra: "weight = 3" },
        { name: "c", grpc: c.grpc, extra: "weight = 1" },
        { name: "d", grpc: d.grpc, extra: "enabled = false" },
      ],
    });
  });
  afterAll(group.end);

  const states = async (): Promise<unknown> => (await a.nodes()).map(({ name, state }) => [name, state]);

  test("get work by weight, and a disabled server gets none", async () => {
    // What was told of a machine while it still loaded costs it work until it is asked again.
    const seen = new Set<string | null>();
    await eventually("both are up, and known to have it loaded", async () => {
      const nodes = await a.nodes();
      if (nodes[0]?.state !== "up" || nodes[1]?.state !== "up") return false;
      seen.add(served(await postChat(a.url, chatBody("river", one))));
      return seen.size === 2;
    });
    const counts: Record<string, number> = {};
    for (let index = 0; index < 40; index++) {
      const name = served(await postChat(a.url, chatBody("river", one))) ?? "none";
      counts[name] = (counts[name] ?? 0) + 1;
    }
    expect(Object.keys(counts).sort()).toEqual(["remote:b", "remote:c"]);
    expect(counts["remote:b"]).toBeGreaterThanOrEqual(28);
    expect(counts["remote:b"]).toBeLessThanOrEqual(32);
    expect(await states()).toEqual([
      ["b", "up"],
      ["c", "up"],
      ["d", "disabled"],
    ]);
  });

  test("lose no request whose answer had not begun when one dies under load", async () => {
    const body = { tokens: 20, decodeDelayMs: 50 };
    const whole = Array.from({ length: 16 }, () => postChat(a.url, chatBody("river", body)));
    const streamed = postChat(a.url, chatBody("river", body, true));
    await eventually("both work", async () => (await a.nodes()).slice(0, 2).every(({ inFlight: many }) => many > 1));
    process.kill((await b.status()).pid, "SIGKILL");
    const answers = await Promise.all(whole);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    // The one that had begun ends, one way or the other; none hangs.
    await (await streamed).text();
    expect(await states()).toEqual([
      ["b", "down"],
      ["c", "up"],
      ["d", "disabled"],
    ]);
    expect((await a.nodes())[0]?.lastError).toMatch(/"b"/);

    // With the last one gone there is nobody to wait for, and the client is told so.
    process.kill((await c.status()).pid, "SIGKILL");
    await eventually("it is known to be away", async () => (await a.nodes())[1]?.state === "down", 10_000);
    const refused = await postChat(a.url, chatBody("river", one));
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    expect(await refused.json()).toMatchObject({ error: { code: "node_unavailable" } });
  });
});

describe("a machine with keys", () => {
  const pair = new NodeGroup();
  let a: TestNode;
  let b: TestNode;
  beforeAll(async () => {
    b = await pair.start({
      models: { river: "" },
      env: { ASSISTANT_API_KEY: "bs-key", ASSISTANT_GRPC_ADDR: await freeAddress() },
    });
    a = await pair.start({
      env: { KEY_OF_B: "bs-key" },
      remotes: [
        { name: "right", grpc: b.grpc, extra: 'api_key_env = "KEY_OF_B"' },
        { name: "wrong", grpc: b.grpc, extra: 'api_key = "not-it"' },
      ],
    });
    await eventually("it is up", async () => (await a.nodes())[0]?.state === "up");
  });
  afterAll(pair.end);

  test("is called with the one of its entry, and says so where that is wrong", async () => {
    await eventually("the second entry is not up", async () => (await a.nodes())[1]?.state === "down");
    expect((await a.nodes())[1]?.lastError).toMatch(/refuses access: The API key is not one of this daemon's/);
    expect(served(await postChat(a.url, chatBody("river", one)))).toBe("remote:right");
  });

  test("that comes back is used again", async () => {
    await b.assistant.stop();
    await eventually("it is known to be away", async () => (await a.nodes())[0]?.state === "down", 10_000);
    await b.assistant.serve();
    await eventually("it is up again", async () => (await a.nodes())[0]?.state === "up", 15_000);
    expect((await postChat(a.url, chatBody("river", one))).status).toBe(200);
  });
});
