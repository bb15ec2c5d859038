import { createHash } from "node:crypto";
import { events, type FakeProvider, json, STREAM, startProvider, WHOLE } from "../../test/fakes/provider.ts";
import { installAssistant, type TestAssistant } from "../../test/support/assistant.ts";
import { chatModelFile } from "../../test/support/model-files.ts";
import { chatModelToml } from "../../test/support/models.ts";
import { nativeEngineConfig } from "../../test/support/native-engine.ts";
import type { Scenario, Target } from "./scenarios.ts";

/** What was recorded of a provider, in the scenarios in which its answer matters. */
const answering = (message: object): ReturnType<typeof json> =>
  json({ ...WHOLE, choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop" }] });
const CALL = {
  content: null,
  tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } }],
};

function recorded(provider: FakeProvider, scenario: Scenario): void {
  const path = "/chat/completions";
  if (scenario === "tools") provider.script(path, answering(CALL));
  else if (scenario === "schema") provider.script(path, answering({ content: '{"city":"Paris"}' }));
  else if (scenario === "stream") provider.script(path, events(...STREAM));
  else if (scenario === "abort") provider.script(path, { ...events(...STREAM.slice(0, 1)), ending: "hang" });
  else provider.script(path, json(WHOLE));
}

const key = (name: string): string => `sk-${name}`;
const entry = (name: string, more = ""): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(key(name)).digest("hex")}"\n${more}\n`;

/** One daemon with a model on the native engine, one on the embedded engine, and one of a recorded provider. */
export async function startTargets(): Promise<AsyncDisposable & { readonly targets: readonly Target[] }> {
  const provider = await startProvider(["cloud"]);
  const file = await chatModelFile();
  const named = (name: string, engine: "llama-server" | "node-llama-cpp"): string =>
    chatModelToml(file, engine).replace('model_name = "smol"', `model_name = "${name}"`);
  const assistant: TestAssistant = await installAssistant({
    models: { native: named("native", "llama-server"), embedded: named("embedded", "node-llama-cpp") },
    config: [
      entry("all"),
      entry("narrow", "max_in_flight = 1"),
      nativeEngineConfig(),
      `[[providers]]\nname = "recorded"\nbase_url = "${provider.url}"\napi_key_env = "CLOUD_KEY"\n`,
    ].join("\n"),
    env: { CLOUD_KEY: "sk-cloud" },
  });
  const url = await assistant.serve();
  const inFlight = async (): Promise<number> => {
    const { instances, providers = [] } = await assistant.status();
    return [...instances, ...providers].reduce((sum, each) => sum + each.inFlight, 0);
  };
  const target = (name: string, model: string, prepare: Target["prepare"]): Target => ({
    ...{ name, url, model, key: key("all"), narrowKey: key("narrow"), inFlight, prepare },
  });
  return {
    targets: [
      target("native", "native", () => {}),
      target("embedded", "embedded", () => {}),
      target("cloud", "recorded/cloud", (scenario) => recorded(provider, scenario)),
    ],
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  };
}
