import { expect, test, vi } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import { AssistantError, type ErrorCode } from "../../../src/core/errors.ts";
import { CallerGone, NO_FACTS, type Retry, SendFailure, type Upstream } from "../../../src/core/upstream.ts";
import { InferenceCore } from "../../../src/inference/core.ts";
import type { InferencePorts } from "../../../src/inference/ports.ts";
import { chatCall, RecordingSink, ScriptedTarget } from "../../support/calls.ts";
import { StubDispatcher } from "../../support/dispatcher.ts";
import { testModel } from "../../support/fake-engine.ts";

const models = [
  testModel({ name: "river", aliases: ["stream"] }),
  testModel({ name: "secret" }),
  testModel({ name: "vectors", kind: "embedding" }),
];

const facts = { ...NO_FACTS, promptTokens: 12, completionTokens: 3, finishReason: "stop" };

const answer: Upstream["send"] = async ({ headers, onFirstToken }, sink) => {
  onFirstToken(true);
  sink.head(200, headers);
  sink.end(Buffer.from('{"n":1}'));
  return facts;
};

const failing =
  (code: ErrorCode, retry: Retry): Upstream["send"] =>
  () =>
    Promise.reject(new SendFailure(new AssistantError(code, `it is ${code}`), retry));

/** A core without HTTP, scheduler or engine. */
function setUp(target: ScriptedTarget, ports: Partial<InferencePorts> = {}) {
  const dispatcher = new StubDispatcher("");
  dispatcher.upstream = target;
  const lines: Record<string, unknown>[] = [];
  const write = (fields: object, message: string): void => void lines.push({ ...fields, message });
  const core = new InferenceCore({
    dispatcher,
    directory: {
      find: (name) => models.find((model) => model.name === name || model.aliases.includes(name)),
      all: () => models,
      createdAt: () => 0,
    },
    tenancy: () => ({ apiKeys: [] }),
    log: { debug: write, info: write, warn: write, error: write },
    ...ports,
  });
  return { core, dispatcher, lines, sink: new RecordingSink() };
}

const codeOf = ({ ending }: RecordingSink): string | null => (ending instanceof AssistantError ? ending.code : ending);

test("a call in process is answered into its sink, gives its lease back and has its line in the log", async () => {
  const { core, dispatcher, lines, sink } = setUp(new ScriptedTarget(answer));
  await core.run(chatCall({ selector: { model: "stream", among: null } }), sink);
  expect([sink.status, sink.text, sink.ending]).toEqual([200, '{"n":1}', "end"]);
  expect(sink.headers).toEqual(
    expect.arrayContaining(["x-assistant-model", "river", "x-assistant-instance", "stub@cpu"]),
  );
  expect(dispatcher.granted[0]).toMatchObject({
    outcome: { end: "complete", promptTokens: 12, completionTokens: 3 },
    disposed: true,
  });
  expect(lines).toMatchObject([
    {
      message: "request",
      id: "call-1",
      route: "/test",
      model: "river",
      instance: "stub@cpu",
      status: 200,
      end: "complete",
    },
  ]);
  expect(JSON.stringify(lines)).not.toContain("rivers");
});

test("what the target gets names the model, the scope and the answer's headers", async () => {
  const target = new ScriptedTarget(answer);
  const { core, sink } = setUp(target, { tenancy: () => ({ apiKeys: [{}, {}] }) });
  await core.run(chatCall({ caller: { tenant: "ada", models: null } }), sink);
  expect(target.sent[0]).toMatchObject({ model: { name: "river" }, scope: { isContested: true } });
  expect(target.sent[0]?.scope.name).toMatch(/^[0-9a-f]{32}$/);
});

test.each<[Retry, ErrorCode, number]>([
  ["never", "invalid_request", 1],
  ["once", "engine_lost", 2],
  ["elsewhere", "node_unavailable", 5],
])(
  "a target that fails a call with retry %s (%s) is asked %i times, then the call fails",
  async (retry, code, times) => {
    const target = new ScriptedTarget(failing(code, retry));
    const { core, dispatcher, sink } = setUp(target);
    await core.run(chatCall(), sink);
    expect([target.sent.length, codeOf(sink)]).toEqual([times, code]);
    expect(dispatcher.granted.every(({ disposed, outcome }) => disposed && outcome !== null)).toBe(true);
  },
);

test("a call whose first target died is answered by the next one, and its caller sees nothing of it", async () => {
  const { core, lines, sink } = setUp(new ScriptedTarget(failing("engine_lost", "once"), answer));
  await core.run(chatCall(), sink);
  expect([sink.status, sink.ending]).toEqual([200, "end"]);
  expect(lines).toMatchObject([{ end: "complete" }]);
});

test("a call of which part was answered is not sent again", async () => {
  const target = new ScriptedTarget((sending, sink) => {
    sending.onFirstToken(false);
    sink.head(200, []);
    return failing("engine_lost", "once")(sending, sink);
  });
  const { core, sink, dispatcher } = setUp(target);
  await core.run(chatCall({ streamed: true }), sink);
  expect([target.sent.length, codeOf(sink)]).toEqual([1, "engine_lost"]);
  expect(dispatcher.granted[0]).toMatchObject({ firstToken: true, outcome: { end: "engine-error" } });
});

test("a call that is cancelled in the queue is never sent", async () => {
  const target = new ScriptedTarget(answer);
  const { core, dispatcher, lines, sink } = setUp(target);
  dispatcher.hold();
  const cancellation = new Cancellation();
  const run = core.run(chatCall({ cancellation }), sink);
  cancellation.cancel(new CallerGone());
  await run;
  expect([target.sent.length, sink.ending, dispatcher.abandoned.length]).toEqual([0, "abort", 1]);
  expect(lines).toMatchObject([{ end: "cancelled", status: null }]);
});

test("a call that is cancelled while it is answered is not sent again", async () => {
  const cancellation = new Cancellation();
  const target = new ScriptedTarget(() => {
    cancellation.cancel(new CallerGone());
    return Promise.reject(new SendFailure(new AssistantError("engine_lost", "gone"), "once"));
  });
  const { core, dispatcher, sink } = setUp(target);
  await core.run(chatCall({ cancellation }), sink);
  expect([target.sent.length, sink.ending]).toEqual([1, "abort"]);
  expect(dispatcher.granted[0]?.disposed).toBe(true);
});

test("a wait is signalled to the sink until the call is served", async () => {
  const { core, dispatcher, sink } = setUp(new ScriptedTarget(answer), { signalTimes: { firstMs: 1, everyMs: 1 } });
  dispatcher.hold();
  const run = core.run(chatCall({ streamed: true }), sink);
  await vi.waitFor(() => expect(sink.waits.length).toBeGreaterThan(1));
  dispatcher.release();
  await run;
  const { length } = sink.waits;
  expect(sink.waits[0]).toBe("loading 1");
  expect(sink.headers).toEqual(expect.arrayContaining(["x-assistant-queue-place", "1"]));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(sink.waits.length).toBe(length);
});

test.each<[string, Parameters<typeof chatCall>[0], ErrorCode]>([
  ["an unknown model", { selector: { model: "rivr", among: null } }, "model_not_found"],
  ["a model of another kind", { selector: { model: "vectors", among: null } }, "wrong_model_kind"],
  [
    "a model that is not the caller's",
    { caller: { tenant: "ada", models: ["river"] }, selector: { model: "secret", among: null } },
    "insufficient_scope",
  ],
  ["no model where there are several", { selector: { model: "", among: null } }, "invalid_request"],
])("%s is refused before anything waits", async (_, changes, code) => {
  const { core, dispatcher, lines, sink } = setUp(new ScriptedTarget());
  await core.run(chatCall(changes), sink);
  expect([codeOf(sink), dispatcher.asked.length]).toEqual([code, 0]);
  expect(lines).toMatchObject([{ end: "rejected", code }]);
});

test("a bound listener's model serves whatever name is asked for", async () => {
  const target = new ScriptedTarget(answer);
  const { core, sink } = setUp(target);
  await core.run(chatCall({ selector: { model: "gpt-4o", among: ["vectors", "river"] } }), sink);
  expect(target.sent[0]?.model.name).toBe("river");
});

test("a fault inside the daemon is logged and not shown", async () => {
  const { core, lines, sink } = setUp(
    new ScriptedTarget(() => {
      throw new TypeError("secret detail");
    }),
  );
  await core.run(chatCall(), sink);
  expect(codeOf(sink)).toBe("internal");
  expect((sink.ending as AssistantError).message).not.toContain("secret");
  expect(
    lines.some(
      ({ message, err }) => message === "a request failed inside the daemon" && String(err).includes("secret detail"),
    ),
  ).toBe(true);
});

test("a call that could not be read fails, and has its line", () => {
  const { core, lines, sink } = setUp(new ScriptedTarget());
  core.refuse(chatCall(), sink, new AssistantError("invalid_json", "not JSON: secret"));
  expect(codeOf(sink)).toBe("invalid_json");
  expect(lines).toMatchObject([{ end: "rejected", code: "invalid_json", model: null }]);
  expect(JSON.stringify(lines)).not.toContain("secret");
});

test("a sink that throws at a sign of waiting costs a line in the log, and its call is answered all the same", async () => {
  const { core, dispatcher, lines } = setUp(new ScriptedTarget(answer), { signalTimes: { firstMs: 1, everyMs: 1 } });
  class BrittleSink extends RecordingSink {
    override waiting(): void {
      throw new Error("no header can hold this");
    }
  }
  const sink = new BrittleSink();
  dispatcher.hold();
  const served = core.run(chatCall(), sink);
  await vi.waitFor(() =>
    expect(lines.filter(({ message }) => message === "a waiting caller could not be notified").length).toBeGreaterThan(
      1,
    ),
  );
  dispatcher.release();
  await served;
  expect([sink.status, sink.ending]).toEqual([200, "end"]);
});

test("a chat of more messages than allowed is refused before anything is made of them", async () => {
  const fingerprint = vi.fn(() => ({ promptTokens: 1, prefix: [] }));
  const { core, sink } = setUp(new ScriptedTarget(answer), { maxMessages: () => 2, fingerprint });
  await core.run(chatCall({ prompt: { messages: [{}, {}, {}] } }), sink);
  expect(sink.ending).toMatchObject({
    code: "invalid_request",
    param: "messages",
    message: "A chat has at most 2 messages; found 3.",
  });
  expect(fingerprint).not.toHaveBeenCalled();
});
