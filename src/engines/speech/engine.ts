import { type Engine, type EngineAvailability, type LaunchPlan, traitsOf } from "../../core/engine.ts";
import { AssistantError } from "../../core/errors.ts";
import { programFile } from "../../core/package.ts";
import { refuse, refuseLongSocket } from "../honour.ts";
import { findSpeech, type SpeechInstallation } from "./installation.ts";
import { listVoices } from "./voices.ts";
import type { BackendConfig, SpeechWorkerConfig } from "./worker/config.ts";

const ESPEAK_REMEDY = "Install it, on Debian with `apt-get install espeak-ng`.";
const SHERPA_REMEDY =
  'Run ./install.sh again; there is no sherpa-onnx for some systems, where `source = "espeak-ng"` still works.';

const workerProgram = programFile("src/engines/speech/worker/main");

export interface SpeechEngineOptions {
  readonly nodePath: string;
  readonly pathVariable: string;
}

/** The speech engine: a worker process of ours around sherpa-onnx, for Piper voices, or the system's espeak-ng. */
export function createSpeechEngine({ nodePath, pathVariable }: SpeechEngineOptions): Engine {
  let looked: Promise<SpeechInstallation> | null = null;
  let found: SpeechInstallation = { espeak: null, sherpa: null, phonemeData: null };

  return {
    id: "speech",
    traits: traitsOf("speech"),
    async availability() {
      looked ??= findSpeech(pathVariable);
      found = await looked;
      return availabilityOf(found, nodePath);
    },
    launch(plan) {
      const config = JSON.stringify(speechWorkerConfig(plan, found, pathVariable));
      return { command: nodePath, args: [workerProgram, config], env: plan.device.env };
    },
    async voices({ speech }, modelPath) {
      looked ??= findSpeech(pathVariable);
      return speech === undefined ? [] : await listVoices(speech, modelPath, await looked);
    },
  };
}

function availabilityOf({ espeak, sherpa }: SpeechInstallation, nodePath: string): EngineAvailability {
  const versions = [
    ...(sherpa === null ? [] : [`sherpa-onnx ${sherpa}`]),
    ...(espeak === null ? [] : [`espeak-ng ${espeak.version}`]),
  ];
  if (versions.length === 0)
    return { available: false, reason: "Neither sherpa-onnx nor espeak-ng is on this machine.", remedy: ESPEAK_REMEDY };
  const version = versions.join(", ");
  return {
    available: true,
    path: nodePath,
    version,
    backends: ["cpu"],
    noticesDisconnects: true,
    separatesCaches: true,
  };
}

/** The worker's configuration for `plan`. Throws `config_invalid` or `engine_unavailable`. */
export function speechWorkerConfig(
  plan: LaunchPlan,
  found: SpeechInstallation,
  pathVariable: string,
): SpeechWorkerConfig {
  const { name, speech, load } = plan.model;
  refuseLongSocket(plan, "speech");
  if (plan.device.vendor !== "cpu")
    refuse(plan, "devices", `The speech engine computes on the CPU, not on ${plan.device.id}.`, "Remove `devices`.");
  if (speech === undefined) throw new AssistantError("internal", `The model "${name}" has no settings for speech.`);
  return {
    socketPath: plan.socketPath,
    modelName: name,
    slots: load.slots,
    threads: plan.threads,
    backend: backendOf(plan, found),
    voice: speech.voice,
    speed: speech.speed,
    maxInputCharacters: speech.maxInputCharacters,
    pathVariable,
  };
}

function backendOf(
  { model, modelPath }: LaunchPlan,
  { espeak, sherpa, phonemeData }: SpeechInstallation,
): BackendConfig {
  if (model.speech?.backend === "espeak-ng") {
    if (espeak === null) throw missing("espeak-ng is not installed.", ESPEAK_REMEDY);
    return { type: "espeak-ng", program: espeak.program };
  }
  if (sherpa === null) throw missing("sherpa-onnx, which Piper voices need, is not installed.", SHERPA_REMEDY);
  if (phonemeData === null) {
    throw missing(
      "espeak-ng's data, which Piper voices need for pronunciation, are not installed.",
      "Install them, on Debian with `apt-get install espeak-ng-data`.",
    );
  }
  return { type: "sherpa-onnx", modelPath, phonemeData, temperature: model.speech?.temperature ?? null };
}

const missing = (message: string, remedy: string): AssistantError =>
  new AssistantError("engine_unavailable", message, { remedy });
