import { expect, test } from "vitest";
import { AssistantError, type ErrorCode } from "../../../src/core/errors.ts";
import { NO_FACTS, SendFailure, type Upstream } from "../../../src/core/upstream.ts";
import { InferenceCore } from "../../../src/inference/core.ts";
import { chatCall, RecordingSink, ScriptedTarget } from "../../support/calls.ts";
import { StubDispatcher } from "../../support/dispatcher.ts";
import { testModel } from "../../support/fake-engine.ts";

const models = [
  testModel({ name: "river", fallbacks: ["gone", "river", "vectors", "secret", "cloud/large"] }),
  testModel({ name: "secret" }),
  testModel({ name: "cloud/large" }),
  testModel({ name: "vectors", kind: "embedding" }),
];

const answer: Upstream["send"] = async ({ headers, onFirstToken }, sink) => {
  onFirstToken(true);
  sink.head(200, headers);
  sink.end(Buffer.from("{}"));
  return NO_FACTS;
};

const failing =
  (code: ErrorCode): Upstream["send"] =>
  () =>
    Promise.reject(new SendFailure(new AssistantError(code, `it is ${code}`), "never"));

async function ask(target: ScriptedTarget, caller = { tenant: "local", models: null as string[] | null }) {
  const dispatcher = new StubDispatcher("");
  dispatcher.upstream = target;
  const core = new InferenceCore({
    dispatcher,
    directory: { find: (name) => models.find((model) => model.name === name), all: () => models, createdAt: () => 0 },
    tenancy: () => ({ apiKeys: [] }),
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  });
  const sink = new RecordingSink();
  await core.run(chatCall({ caller }), sink);
  return { asked: dispatcher.asked.map(({ model }) => model), sink, dispatcher };
}

test.each<ErrorCode>(["engine_lost", "provider_unavailable", "provider_busy", "provider_rejected_key", "queue_full"])(
  "after %s the next model that answers the operation is asked, and named in the answer",
  async (code) => {
    const { asked, sink } = await ask(new ScriptedTarget(failing(code), answer));
    expect(asked).toEqual(["river", "secret"]);
    expect(sink.ending).toBe("end");
    expect(sink.headers).toEqual(expect.arrayContaining(["x-assistant-model", "secret"]));
  },
);

test("each is asked once, and the last one's error is the answer", async () => {
  const { asked, sink } = await ask(
    new ScriptedTarget(failing("engine_lost"), failing("provider_busy"), failing("provider_timeout")),
  );
  expect(asked).toEqual(["river", "secret", "cloud/large"]);
  expect(sink.ending).toMatchObject({ code: "provider_timeout" });
});

test("a key's models limit its fallbacks", async () => {
  const target = new ScriptedTarget(failing("engine_lost"), answer);
  const { asked } = await ask(target, { tenant: "me", models: ["river", "cloud/large"] });
  expect(asked).toEqual(["river", "cloud/large"]);
});

test.each<ErrorCode>(["invalid_request", "context_length_exceeded", "deadline_exceeded", "shutting_down"])(
  "%s is the answer: another model would say the same",
  async (code) => {
    const { asked, sink } = await ask(new ScriptedTarget(failing(code), answer));
    expect(asked).toEqual(["river"]);
    expect(sink.ending).toMatchObject({ code });
  },
);

test("once part of an answer has come, nothing else is asked", async () => {
  const broken: Upstream["send"] = async ({ onFirstToken }, sink) => {
    onFirstToken(false);
    sink.head(200, []);
    throw new SendFailure(new AssistantError("engine_lost", "it is lost"), "once");
  };
  const { asked, sink } = await ask(new ScriptedTarget(broken, answer));
  expect(asked).toEqual(["river"]);
  expect(sink.ending).toMatchObject({ code: "engine_lost" });
});

test("a provider's wish to be left alone reaches the scheduler", async () => {
  const busy = new AssistantError("provider_busy", "slow down", { retryAfterS: 7, remedy: "Try again later." });
  const target = new ScriptedTarget(() => Promise.reject(new SendFailure(busy, "never")), answer);
  const { dispatcher } = await ask(target);
  expect(dispatcher.granted[0]?.outcome?.pause).toEqual({
    ms: 7_000,
    code: "provider_busy",
    message: "slow down",
    remedy: "Try again later.",
  });
});
