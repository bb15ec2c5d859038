import { isUtf8 } from "node:buffer";
import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import type { ErrorBody } from "../../src/api/status.ts";
import { fieldTable } from "../../src/gateway/canonical/field-table.ts";
import { MAX_DEPTH, tooDeep } from "../../src/gateway/canonical/json-text.ts";
import { eventually } from "../support/assistant.ts";
import { attacks } from "../support/attacks.ts";
import { chatBody, type TestGateway, testGateway } from "../support/gateway.ts";
import { mutated } from "../support/mutations.ts";
import { seededRandom } from "../support/random.ts";
import { postBytes, type RawClient, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

/** Another one finds other mistakes; a failure names the request that it made. */
const SEED = Number(process.env["FUZZ_SEED"] ?? 20_261_129);
const REQUESTS = 2_000;
const AT_ONCE = 16;
const TOKEN_MS = 10;

const names = [...Object.keys(fieldTable), "unknown", "__proto__", "constructor"];
const bodies: readonly (readonly [path: string, body: object])[] = [
  ["/v1/chat/completions", chatBody({ max_tokens: 5, temperature: 0.5, stop: ["a"] })],
  [
    "/v1/chat/completions",
    chatBody({ stream: true, messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }] }),
  ],
  [
    "/v1/chat/completions",
    chatBody({
      n: 2,
      tools: [
        {
          type: "function",
          function: { name: "f", parameters: { type: "object", properties: { a: { type: "string" } } } },
        },
      ],
    }),
  ],
  [
    "/v1/chat/completions",
    chatBody({
      response_format: {
        type: "json_schema",
        json_schema: { schema: { type: "object", properties: { a: { type: "string", pattern: "^a+$" } } } },
      },
    }),
  ],
  ["/v1/completions", { model: "river", prompt: "One, two,", max_tokens: 5, logprobs: 2 }],
  ["/v1/completions", { model: "river", prompt: ["a", "b"], stream: true }],
  ["/v1/embeddings", { model: "vectors", input: ["a", [1, 2]], encoding_format: "float" }],
];

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

function post(port: number, agent: Agent, path: string, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const headers = { "content-type": "application/json", "content-length": body.length };
    const outgoing = request({ host: "127.0.0.1", port, method: "POST", path, agent, headers }, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          text: Buffer.concat(parts).toString(),
          ms: performance.now() - started,
        }),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** A stream whose tokens come one by one until it is told to end, and the client that reads it. */
class Bystander {
  readonly client: RawClient;
  readonly #sent: string[] = [];
  #timer: NodeJS.Timeout | null = null;
  #socket: Socket | null = null;
  static readonly mark = "bystander";

  private constructor(client: RawClient) {
    this.client = client;
  }

  static async start(gateway: TestGateway, answer: (socket: Socket, body: string) => void): Promise<Bystander> {
    const bystander = new Bystander(await rawClient(gateway.port));
    gateway.upstream.script = (socket, { body }) =>
      body.includes(Bystander.mark) ? bystander.#feed(socket) : answer(socket, body);
    bystander.client.send(postBytes("/v1/chat/completions", chatBody({ stream: true, user: Bystander.mark })));
    await bystander.client.until("token-3 ");
    return bystander;
  }

  /** Ends the stream; returns the tokens that were sent and those that came. */
  async end(): Promise<{ sent: readonly string[]; came: readonly string[] }> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#socket?.end(chunk("data: [DONE]\n\n") + LAST_CHUNK);
    const text = await this.client.until("[DONE]");
    this.client.socket.destroy();
    return { sent: this.#sent, came: text.match(/token-\d+ /g) ?? [] };
  }

  #feed(socket: Socket): void {
    this.#socket = socket;
    socket.write(sseHead);
    this.#timer = setInterval(() => {
      const token = `token-${this.#sent.length} `;
      this.#sent.push(token);
      socket.write(chunk(`data: {"choices":[{"index":0,"delta":{"content":"${token}"},"finish_reason":null}]}\n\n`));
    }, TOKEN_MS);
  }
}

const stream = sseHead + chatEvents(["x"]).map(chunk).join("") + LAST_CHUNK;
const answerAnything = (socket: Socket, body: string): void =>
  void socket.end(body.includes('"stream":true') ? stream : jsonAnswer('{"n":1}'));

test(`${REQUESTS} broken requests get an answer each and harm nobody (seed ${SEED})`, { timeout: 60_000 }, async () => {
  await using gateway = await testGateway(() => {});
  const bystander = await Bystander.start(gateway, answerAnything);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const random = seededRandom(SEED);
  const statuses = new Map<number, number>();
  const problems: string[] = [];
  const one = async (index: number): Promise<void> => {
    const [path, valid] = bodies[index % bodies.length] as (typeof bodies)[number];
    const body = mutated(random, valid, names);
    const shown = `request ${index} to ${path}: ${body.toString("latin1").slice(0, 300)}`;
    try {
      const { status, text, ms } = await post(gateway.port, agent, path, body);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (ms > 5_000) problems.push(`${ms} ms: ${shown}`);
      if (status === 200) return;
      const { error } = JSON.parse(text) as ErrorBody;
      if (status >= 500 || error.message === "" || error.code === "internal" || error.request_id === undefined)
        problems.push(`${status} ${text}: ${shown}`);
    } catch (error) {
      problems.push(`${String(error)}: ${shown}`);
    }
  };
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < REQUESTS) await one(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  agent.destroy();
  expect(problems).toEqual([]);
  // Mutations that nothing accepts, or that nothing refuses, would test nothing.
  expect(statuses.get(200)).toBeGreaterThan(100);
  expect(statuses.get(400)).toBeGreaterThan(500);
  for (const { body, head } of gateway.upstream.requests) {
    if (head.startsWith("GET")) continue;
    const json: unknown = JSON.parse(body);
    expect(
      isUtf8(Buffer.from(body)) && tooDeep(json, MAX_DEPTH) === null && JSON.stringify(json).isWellFormed(),
      body.slice(0, 300),
    ).toBe(true);
    expect(body).not.toMatch(/"samplers":\["infill"|\\ud800"|\\udc00\\ud800/i);
  }
  const { sent, came } = await bystander.end();
  expect(came).toEqual(sent);
});

test("attacks on one connection cost a stream on another nothing but a moment", { timeout: 60_000 }, async () => {
  await using gateway = await testGateway(() => {});
  gateway.settings.bodyLimitBytes = 64 * 2 ** 20;
  const bystander = await Bystander.start(gateway, answerAnything);
  const agent = new Agent({ keepAlive: true });
  let longestGapMs = 0;
  let lastSize = bystander.client.size();
  let lastAt = performance.now();
  const watch = setInterval(() => {
    if (bystander.client.size() === lastSize) return;
    longestGapMs = Math.max(longestGapMs, performance.now() - lastAt);
    lastSize = bystander.client.size();
    lastAt = performance.now();
  }, 5);
  for (const [name, body] of Object.entries(attacks)) {
    const { status, text } = await post(gateway.port, agent, "/v1/chat/completions", Buffer.from(body()));
    expect([status, (JSON.parse(text) as ErrorBody).error.code], name).toEqual([400, "invalid_json"]);
  }
  await eventually("the stream goes on", () => bystander.client.size() > lastSize, 5_000);
  clearInterval(watch);
  agent.destroy();
  const { sent, came } = await bystander.end();
  expect(came).toEqual(sent);
  // Client and attacker run in this process too. Reading one such body used to take 4 to 18 s.
  expect(longestGapMs).toBeLessThan(4_000);
});
