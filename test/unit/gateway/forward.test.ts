import { createHash } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ForwardRequest } from "../../../src/api/assistant-service.ts";
import type { ApiKey } from "../../../src/core/config.ts";
import type { AssistantError, ErrorCode } from "../../../src/core/errors.ts";
import { CallerGone } from "../../../src/core/upstream.ts";
import { Authorizer } from "../../../src/gateway/front/authorize.ts";
import { createGateway, type Gateway } from "../../../src/gateway/gateway.ts";
import { type ForwardCall, forward } from "../../../src/gateway/grpc/forward.ts";
import type { Reply } from "../../../src/gateway/grpc/sink.ts";
import { InferenceCore } from "../../../src/inference/core.ts";
import { ScriptedTarget } from "../../support/calls.ts";
import { StubDispatcher } from "../../support/dispatcher.ts";
import { testModel } from "../../support/fake-engine.ts";
import { emptyStatus } from "../../support/gateway.ts";

const key = (name: string, more: Partial<ApiKey> = {}): ApiKey => ({
  name,
  sha256: createHash("sha256").update(name).digest("hex"),
  ...more,
});

/** What a caller sees. */
class RecordingReply implements Reply {
  status: number | null = null;
  headers: Readonly<Record<string, string>> = {};
  text = "";
  ends = 0;
  failures: AssistantError[] = [];
  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.status = status;
    this.headers = headers;
  }
  body(bytes: Buffer): boolean {
    this.text += bytes.toString();
    return true;
  }
  onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(): void {
    this.ends++;
  }
  fail(error: AssistantError): void {
    this.failures.push(error);
  }
}

let gateway: Gateway;
let keys: readonly ApiKey[];
let refused: ErrorCode[];
let lines: Record<string, unknown>[];
let dispatcher: StubDispatcher;
let ask: (
  request: Partial<ForwardRequest>,
  more?: { key?: string; deadlineMs?: number },
) => Promise<RecordingReply> & { cancel(): void };

beforeEach(async () => {
  keys = [];
  refused = [];
  lines = [];
  const models = [testModel({ name: "river" })];
  const directory = {
    find: (name: string) => models.find((model) => model.name === name),
    all: () => models,
    createdAt: () => 0,
  };
  const write = (fields: object, message: string): void => void lines.push({ ...fields, message });
  const log = { debug: write, info: write, warn: write, error: write };
  dispatcher = new StubDispatcher("");
  dispatcher.upstream = new ScriptedTarget(async ({ onFirstToken }, sink) => {
    sink.head(200, ["Content-Type", "application/json"], 7);
    onFirstToken(true);
    sink.end(Buffer.from('{"n":1}'));
    return {
      promptTokens: 1,
      cachedTokens: 0,
      completionTokens: 1,
      promptMs: 1,
      completionMs: 1,
      finishReason: "stop",
    };
  });
  const authorizer = new Authorizer(() => keys);
  const inference = new InferenceCore({ dispatcher, directory, tenancy: () => ({ apiKeys: keys }), log });
  const settings = () => ({ corsOrigins: [], allowedHosts: [], bodyLimitBytes: 1_000 });
  const count = (code: ErrorCode): void => void refused.push(code);
  const nothing = () => expect.unreachable();
  const control = {
    status: async () => emptyStatus,
    act: nothing,
    keep: nothing,
    modelAct: nothing,
    models: nothing,
    nodes: nothing,
    usage: nothing,
    usageByDay: nothing,
    metrics: async () => "# measured\n",
    reload: nothing,
    actOnNode: nothing,
    isDrained: () => false,
    shutdown: nothing,
  };
  gateway = await createGateway({
    inference,
    directory,
    control,
    authorizer,
    settings,
    version: "1",
    log,
    refused: count,
  });
  const options = { routes: gateway.routes, inference, authorizer, settings, log, refused: count, tracer: null };
  ask = (request, { key: credential, deadlineMs } = {}) => {
    const listeners: (() => void)[] = [];
    const call = {
      request: { path: "", method: "", headers: {}, body: Buffer.alloc(0), ...request },
      metadata: {
        get: (name: string) => (name === "authorization" && credential !== undefined ? [`Bearer ${credential}`] : []),
      },
      getPath: () => "/assistant.AssistantService/ForwardRequest",
      cancelled: false,
      getDeadline: () => (deadlineMs === undefined ? Number.POSITIVE_INFINITY : Date.now() + deadlineMs),
      once: (_: string, listener: () => void) => void listeners.push(listener),
    };
    const reply = new RecordingReply();
    const over = forward(options, call as unknown as ForwardCall, reply).then(() => reply);
    return Object.assign(over, {
      cancel: () => {
        call.cancelled = true;
        for (const listener of listeners) listener();
      },
    });
  };
});
afterEach(() => gateway.close({ now: true }));

const chat = (fields: object = {}): Partial<ForwardRequest> => ({
  path: "/v1/chat/completions",
  body: Buffer.from(JSON.stringify({ model: "river", messages: [{ role: "user", content: "x" }], ...fields })),
});
const codeOf = ({ status, text, failures }: RecordingReply): unknown =>
  failures[0]?.code ?? [
    status,
    text.startsWith("{") ? (JSON.parse(text) as { error?: { code: string } }).error?.code : text.slice(0, 20),
  ];

test("a request for a model is answered with its headers, and counted once", async () => {
  const reply = await ask({ ...chat(), headers: { "X-Request-Id": "r-1" } });
  expect([reply.status, reply.text, reply.ends, reply.failures]).toEqual([200, '{"n":1}', 1, []]);
  expect(reply.headers).toEqual({ "content-type": "application/json", "content-length": "7", "x-request-id": "r-1" });
  expect(lines.filter(({ message }) => message === "request")).toMatchObject([
    {
      id: expect.stringMatching(/^req_/),
      clientId: "r-1",
      route: "/v1/chat/completions",
      status: 200,
      end: "complete",
    },
  ]);
});

test.each([
  ["/v1/models/%2e%2e/%2E%2e/admin/status", [404, "route_not_found"]],
  ["/v1/models/.%2e/../admin/status", "route_not_found"],
  ["/models/x/%2e%2e/%2e%2e/metrics", [404, "route_not_found"]],
  ["/v1/%2e%2e/admin/status", [404, "route_not_found"]],
  ["/v1/unknown", [404, "route_not_found"]],
  ["/unknown", "route_not_found"],
  ["/%61dmin/status", "route_not_found"],
  ["/admin%2Fstatus", "route_not_found"],
  ["//admin/status", "route_not_found"],
  ["/admin/status/", "route_not_found"],
  ["/admin/status?x=1", "route_not_found"],
  ["http://localhost/admin/status", "route_not_found"],
  ["/metrics", "route_not_found"],
  ["/v1/models/river", [200, undefined]],
])("%s leads nowhere but to the API, whatever the key may do", async (path, expected) => {
  keys = [key("root", { scopes: ["inference", "metrics", "admin"] })];
  const reply = await ask({ path, method: "GET" }, { key: "root" });
  expect(codeOf(reply)).toEqual(expected);
  expect(reply.ends + reply.failures.length).toBe(1);
});

test.each([["/v1/models"], ["/v1/unknown"], ["/v1/chat/completions"]])(
  "without a key %s is refused, which is counted and logged once",
  async (path) => {
    keys = [key("anna")];
    const reply = await ask({ ...chat(), path, method: path === "/v1/chat/completions" ? "POST" : "GET" });
    expect([codeOf(reply), refused]).toEqual(["missing_api_key", ["missing_api_key"]]);
    expect(lines.filter(({ message }) => message === "refused")).toMatchObject([
      { code: "missing_api_key", status: 401, path },
    ]);
  },
);

test("the line of a refusal holds no query, and no more of a method than fits", async () => {
  await ask({ path: "/admin/status?token=secret", method: "B".repeat(5_000) });
  expect(lines).toMatchObject([
    { message: "refused", path: "/admin/status", method: "B".repeat(20), code: "invalid_request" },
  ]);
});

test("health can be asked without a key", async () => {
  keys = [key("anna")];
  expect((await ask({ path: "/v1/health" })).status).toBe(200);
});

test("a wrong method and a method that HTTP does not know are refused, not failed", async () => {
  expect(codeOf(await ask({ path: "/v1/chat/completions", method: "GET" }))).toEqual([405, "method_not_allowed"]);
  expect(codeOf(await ask({ path: "/v1/unknown", method: "BREW" }))).toEqual([404, "route_not_found"]);
  expect(codeOf(await ask({ path: "/v1/models", method: "BR EW" }))).toBe("invalid_request");
});

test("a body that is wrong or too large is answered, and has its line in the log", async () => {
  expect(codeOf(await ask({ path: "/v1/chat/completions", body: Buffer.from("{") }))).toEqual([400, "invalid_json"]);
  expect(codeOf(await ask(chat({ user: "x".repeat(1_000) })))).toEqual([413, "body_too_large"]);
  expect(lines.filter(({ message }) => message === "request")).toMatchObject([
    { code: "invalid_json" },
    { code: "body_too_large" },
  ]);
});

test("the limits of a key are given back when a call ends, is cancelled or cannot be read", async () => {
  keys = [key("anna", { maxInFlight: 1 })];
  dispatcher.hold();
  const waiting = ask(chat({ stream: true }), { key: "anna" });
  expect(codeOf(await ask(chat(), { key: "anna" }))).toBe("rate_limit_exceeded");
  waiting.cancel();
  const left = await waiting;
  expect([left.status, left.ends, left.failures]).toEqual([null, 0, []]);
  dispatcher.release();
  expect(codeOf(await ask({ path: "/v1/chat/completions", body: Buffer.from("{") }, { key: "anna" }))).toEqual([
    400,
    "invalid_json",
  ]);
  expect((await ask(chat(), { key: "anna" })).status).toBe(200);
  expect(refused).toEqual(["rate_limit_exceeded"]);
});

test("a call's deadline is the earlier of its own and the one in its headers", async () => {
  await ask({ ...chat(), headers: { "x-assistant-timeout-ms": "60000" } }, { deadlineMs: 5_000 });
  await ask({ ...chat(), headers: { "x-assistant-timeout-ms": "1000" } }, { deadlineMs: 5_000 });
  const left = dispatcher.asked.map(({ deadlineAt }) => Math.round(((deadlineAt ?? 0) - Date.now()) / 1_000));
  expect(left).toEqual([5, 1]);
});

test("a call that was cancelled before it is looked at asks for nothing", async () => {
  dispatcher.hold();
  const call = ask(chat());
  call.cancel();
  await call;
  expect(dispatcher.granted).toEqual([]);
  expect(lines.filter(({ message }) => message === "request")).toMatchObject([{ end: "cancelled", status: null }]);
  expect(new CallerGone().name).toBe("CallerGone");
});
