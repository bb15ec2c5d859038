import { request } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, it } from "vitest";
import { resolvePaths } from "../../src/config/paths.ts";
import type { PullStatus } from "../../src/models/pull-service.ts";
import { type Hub, startHub } from "../fakes/hub.ts";
import { smallModel } from "../support/handed-models.ts";
import { serveRepository } from "../support/model-repository.ts";
import { NodeGroup, type TestNode } from "../support/nodes.ts";

const nodes = new NodeGroup();
const weights = smallModel(400_000);
let hub: Hub;
let node: TestNode;

beforeEach(async () => {
  hub = await startHub();
  serveRepository(hub, "acme/tiny", { "tiny-Q8_0.gguf": weights }, { faults: { "tiny-Q8_0.gguf": { pieceMs: 10 } } });
  node = await nodes.start({ env: { HF_ENDPOINT: hub.url } });
});
afterEach(async () => {
  await nodes.end();
  await hub[Symbol.asyncDispose]();
});

/** A call on the admin socket. */
async function admin(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const payload = body === undefined ? "" : JSON.stringify(body);
  const headers = payload === "" ? {} : { "content-type": "application/json" };
  const { adminSocket: socketPath } = resolvePaths(node.assistant.env);
  const outgoing = request({ socketPath, method, path, headers, agent: false });
  outgoing.once("response", (answer) =>
    text(answer).then((answered) => resolve({ status: answer.statusCode ?? 0, text: answered }), reject),
  );
  outgoing.once("error", reject).end(payload);
  return await promise;
}
const lines = (body: string): PullStatus[] =>
  body
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as PullStatus);

it("a pull through the API streams how it goes, and the model can be asked at once", async () => {
  const { status, text: body } = await admin("POST", "/admin/pulls", { reference: "hf:acme/tiny", stream: true });
  expect(status).toBe(200);
  const statuses = lines(body);
  expect(statuses[0]).toMatchObject({ reference: "hf:acme/tiny", state: expect.stringMatching(/waiting|running/) });
  expect(statuses.some(({ phase, totalBytes }) => phase === "download" && totalBytes === weights.length)).toBe(true);
  expect(statuses.at(-1)).toMatchObject({
    state: "done",
    bytes: weights.length,
    result: { name: "tiny-Q8_0", licence: "mit" },
    configured: { model: "tiny-Q8_0", written: true },
  });
  const answer = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tiny-Q8_0", messages: [{ role: "user", content: "Hello" }], max_tokens: 2 }),
  });
  expect(answer.status).toBe(200);
});

it("a pull is joined, listed and cancelled by its id", async () => {
  serveRepository(
    hub,
    "acme/tiny",
    { "tiny-Q8_0.gguf": weights },
    { faults: { "tiny-Q8_0.gguf": { stallAfter: 16_384 } } },
  );
  const started = await admin("POST", "/admin/pulls", { reference: "hf:acme/tiny" });
  expect(started.status).toBe(202);
  const { id } = JSON.parse(started.text) as PullStatus;
  const joined = await admin("POST", "/admin/pulls", { reference: "hf:acme/tiny" });
  expect(JSON.parse(joined.text)).toMatchObject({ id });
  const following = admin("GET", `/admin/pulls/${id}/events`);
  expect((await admin("DELETE", `/admin/pulls/${id}`)).status).toBe(202);
  expect(lines((await following).text).at(-1)).toMatchObject({ id, state: "cancelled" });
  expect(JSON.parse((await admin("GET", "/admin/pulls")).text)).toMatchObject({ pulls: [{ id, state: "cancelled" }] });
});

it("what cannot be pulled is refused before there is a pull", async () => {
  for (const [body, status, code] of [
    [{ reference: "/etc/passwd" }, 400, "invalid_request"],
    [{ reference: "smolm2" }, 404, "unknown_source"],
    [{ reference: "hf:acme/tiny", sha: "x" }, 400, "invalid_request"],
    [{}, 400, "invalid_request"],
  ] as const) {
    const refused = await admin("POST", "/admin/pulls", body);
    expect([refused.status, (JSON.parse(refused.text) as { error: { code: string } }).error.code]).toEqual([
      status,
      code,
    ]);
  }
  expect((await admin("GET", "/admin/pulls/none")).status).toBe(404);
});
