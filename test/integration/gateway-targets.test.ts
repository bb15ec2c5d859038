import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.ts";
import { type TestGateway, testGateway } from "../support/gateway.ts";
import { bodyOf, rawClient } from "../support/raw-http.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const ANNA = { name: "anna", sha256: sha256("anna") };
const ROOT = { name: "root", sha256: sha256("root"), scopes: ["admin"] as const };

const refused: ErrorCode[] = [];
let gateway: TestGateway;
beforeAll(async () => {
  gateway = await testGateway((socket) => socket.end(jsonAnswer('{"n":1}')), { refused: (code) => refused.push(code) });
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  gateway.settings.apiKeys = [];
  refused.length = 0;
});

interface Seen {
  readonly status: number;
  readonly code: string | null;
  readonly head: string;
}

async function ask(line: string, headers: readonly string[] = []): Promise<Seen> {
  const client = await rawClient(gateway.port);
  client.send([line, "Host: 127.0.0.1", "Connection: close", ...headers, "", ""].join("\r\n"));
  const answer = await client.untilClosed();
  const body = bodyOf(answer);
  const code = /"code":"(\w+)"/.exec(body)?.[1] ?? null;
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]),
    code,
    head: answer.slice(0, answer.indexOf("\r\n\r\n")),
  };
}

const spellings = [
  "/admin/status",
  "/admin/status/",
  "//admin/status",
  "/admin//status",
  "/%61dmin/status",
  "/admin%2Fstatus",
  "/admin%2fstatus",
  "/admin/%73tatus?x=/v1/models",
  "/Admin/status",
  "/admin/status;x=1",
  "/admin/status%3Fx",
  "/admin/status%23x",
  "/admin/./status",
  "/v1/../admin/status",
  "http://127.0.0.1/admin/status",
  "HTTP://127.0.0.1//admin/status",
  "http:///admin/status",
  "/admin\\status",
];

test.each(spellings)("no spelling of the admin API is there without keys: %s", async (path) => {
  for (const method of ["GET", "HEAD", "POST", "DELETE"]) {
    const { status, head } = await ask(`${method} ${path} HTTP/1.1`, method === "POST" ? ["Content-Length: 0"] : []);
    expect([method, status]).toEqual([method, 404]);
    expect(head).toMatch(/x-request-id: \S+/i);
    expect(head).not.toMatch(/^allow:/im);
  }
  expect(gateway.control.calls).toEqual([]);
});

test.each(spellings)("a key for models opens no spelling of the admin API: %s", async (path) => {
  gateway.settings.apiKeys = [ANNA, ROOT];
  const bare = await ask(`GET ${path} HTTP/1.1`);
  expect([bare.status, bare.code]).toEqual([401, "missing_api_key"]);
  const { status, head } = await ask(`GET ${path} HTTP/1.1`, ["Authorization: Bearer anna"]);
  expect([403, 404]).toContain(status);
  expect(head).toMatch(/x-request-id: \S+/i);
  expect(refused.length).toBe(2);
});

test.each(["/v1/models/../../admin/status", "/v1/models/%2e%2e/%2e%2e/admin/status"])(
  "dots in the name of a model are part of it: %s",
  async (path) => {
    expect(await ask(`GET ${path} HTTP/1.1`)).toMatchObject({ status: 404, code: "model_not_found" });
  },
);

test("what a key opens it opens in each of its spellings", async () => {
  gateway.settings.apiKeys = [ANNA, ROOT];
  for (const path of [
    "/admin/status",
    "/admin/status/",
    "//admin/status",
    "/%61dmin/status",
    "http://127.0.0.1/admin/status",
  ]) {
    expect([path, (await ask(`GET ${path} HTTP/1.1`, ["Authorization: Bearer root"])).status]).toEqual([path, 200]);
  }
  for (const path of ["/v1/models", "/v1/models/", "//v1//models", "/v1/%6dodels?x=1", "http://127.0.0.1/v1/models"]) {
    expect([path, (await ask(`GET ${path} HTTP/1.1`, ["Authorization: Bearer anna"])).status]).toEqual([path, 200]);
  }
});

test.each(["GET /v1/models", "GET /metrics", "GET /nowhere", "POST /v1/chat/completions", "GET /admin/status"])(
  "a refusal of %s is counted and logged once",
  async (line) => {
    gateway.settings.apiKeys = [ANNA];
    gateway.lines.length = 0;
    const { status, code } = await ask(`${line} HTTP/1.1`, line.startsWith("POST") ? ["Content-Length: 0"] : []);
    expect([status, code, refused]).toEqual([401, "missing_api_key", ["missing_api_key"]]);
    const [method, path] = line.split(" ");
    expect(gateway.lines).toMatchObject([
      { message: "refused", method, path, code: "missing_api_key", status: 401, id: expect.any(String) },
    ]);
  },
);

const hostile = ["Host: evil.example", "Origin: http://evil.example"] as const;

test.each([
  "GET /v1/models",
  "GET /nowhere",
  "GET /v1/chat/completions",
  "OPTIONS /v1/models",
  "OPTIONS *",
  "GET /admin/status",
  "GET /health",
  "HEAD /health",
])("Host and origin are checked for %s", async (line) => {
  const client = await rawClient(gateway.port);
  client.send(`${line} HTTP/1.1\r\n${hostile[0]}\r\nConnection: close\r\n\r\n`);
  expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 403 /);
  expect((await ask(`${line} HTTP/1.1`, [hostile[1]])).status).toBe(403);
});

test.each([
  ["GET /v1/models", 200],
  ["GET /nowhere", 404],
  ["GET /v1/chat/completions", 405],
  ["POST /v1/models", 405],
  ["OPTIONS /nowhere", 204],
  ["OPTIONS /v1/chat/completions", 204],
] as const)("a local page may read the answer to %s", async (line, expected) => {
  const { status, head } = await ask(`${line} HTTP/1.1`, ["Origin: http://localhost:3000", "Content-Length: 0"]);
  expect(status).toBe(expected);
  expect(head).toMatch(/access-control-allow-origin: http:\/\/localhost:3000/i);
  expect(head).toMatch(/x-request-id: \S+/i);
  if (expected === 405 || expected === 204) expect(head).toMatch(/^allow: .+/im);
});

test("a target that nobody can read is refused, with an id, and costs nothing else", async () => {
  for (const path of ["/%", "/v1/models/%zz", "/%c3%28", `/${"%41".repeat(2_000)}%`]) {
    const { status, code, head } = await ask(`GET ${path} HTTP/1.1`);
    expect([status, code]).toEqual([400, "invalid_request"]);
    expect(head).toMatch(/x-request-id: \S+/i);
  }
  expect((await ask("GET /v1/models HTTP/1.1")).status).toBe(200);
});
