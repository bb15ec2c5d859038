import { expect, test } from "vitest";
import type { LaunchPlan } from "../../../../src/core/engine.ts";
import type { SpeechSettings } from "../../../../src/core/model.ts";
import { speechWorkerConfig } from "../../../../src/engines/speech/engine.ts";
import { findSpeech } from "../../../../src/engines/speech/installation.ts";
import { testDevice, testModel } from "../../../support/fake-engine.ts";

const speech: SpeechSettings = {
  backend: "sherpa-onnx",
  voice: "",
  speed: 1,
  maxInputCharacters: 4096,
  temperature: null,
};
const plan = (changes: Partial<SpeechSettings> = {}, device = testDevice()): LaunchPlan => ({
  instanceId: "joe@cpu",
  model: testModel({ name: "joe", kind: "speech", engine: "speech", speech: { ...speech, ...changes } }),
  modelPath: "/voices/joe.onnx",
  device,
  threads: 2,
  socketPath: "/run/joe.sock",
});
const all = {
  espeak: { program: "/usr/bin/espeak-ng", version: "1.51" },
  sherpa: "1.13.8",
  phonemeData: "/usr/share/espeak-ng-data",
};

test("a Piper voice is loaded with espeak-ng's data, espeak-ng is run by path", () => {
  expect(speechWorkerConfig(plan({ temperature: 0.5 }), all, "/usr/bin")).toMatchObject({
    threads: 2,
    backend: {
      type: "sherpa-onnx",
      modelPath: "/voices/joe.onnx",
      phonemeData: "/usr/share/espeak-ng-data",
      temperature: 0.5,
    },
  });
  expect(speechWorkerConfig(plan({ backend: "espeak-ng" }), all, "/usr/bin").backend).toEqual({
    type: "espeak-ng",
    program: "/usr/bin/espeak-ng",
  });
});

test.each([
  ["espeak-ng", { ...all, espeak: null }, { backend: "espeak-ng" }, /espeak-ng is not installed/],
  ["sherpa-onnx", { ...all, sherpa: null }, {}, /sherpa-onnx/],
  ["espeak-ng's data", { ...all, phonemeData: null }, {}, /espeak-ng's data/],
] as const)("without %s the error says what to install", (_, found, changes, message) => {
  const start = (): unknown => speechWorkerConfig(plan(changes), found, "/usr/bin");
  expect(start).toThrow(message);
  expect(start).toThrow(expect.objectContaining({ code: "engine_unavailable", remedy: expect.stringMatching(/./) }));
});

test("a GPU is refused: it would be idle under its name", () => {
  const gpu = testDevice({ id: "cuda:0", vendor: "nvidia" });
  expect(() => speechWorkerConfig(plan({}, gpu), all, "/usr/bin")).toThrow(/computes on the CPU, not on cuda:0/);
});

test("without programs on the PATH there is no espeak-ng", async () => {
  expect((await findSpeech("/nowhere")).espeak).toBeNull();
});
