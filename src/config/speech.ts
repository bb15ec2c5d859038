import { extname } from "node:path";
import { type LoadSettings, type ModelSource, PLAIN_LOAD, type SpeechSettings } from "../core/model.ts";
import { defaults } from "./defaults.ts";
import type { SectionContext, SectionKeys } from "./section.ts";

/** The source that stands for the system's program, which has its own voices. */
export const ESPEAK = "espeak-ng";

const OUTE_TTS =
  "no engine supports codec models, such as OuteTTS's: remove the key, " +
  "and set `source` to a Piper voice or `espeak-ng`";

/** The source of the voice: as written, except for the program with its own voices. */
export const speechSource = (source: ModelSource): ModelSource =>
  source.type === "catalog" && source.name === ESPEAK ? { type: "opaque", reference: ESPEAK } : source;

/** How a section's model speaks. Refuses what cannot be honoured. */
export function speechSettings(
  { keys, refuse, warn }: SectionContext,
  source: ModelSource,
  refuseSource: (message: string) => void,
): SpeechSettings {
  for (const key of ["codec_model", "speaker_file"] as const) if (keys[key]) refuse(key, OUTE_TTS);
  const path = source.type === "file" ? source.path : source.type === "huggingface" ? source.file : "";
  if (extname(path).toLowerCase() === ".gguf") {
    refuseSource(
      `${path} is a GGUF file, which no engine can use for speech; expected a Piper voice (.onnx), a voice of the catalog, or "espeak-ng"`,
    );
  }
  const backend = source.type === "opaque" ? "espeak-ng" : "sherpa-onnx";
  for (const key of idleKeys(keys, backend)) warn(key, "has no effect on this speech model; remove it");
  return {
    backend,
    voice: keys.voice ?? "",
    speed: keys.speed ?? 1,
    maxInputCharacters: keys.max_input_characters ?? defaults.speechInputCharacters,
    temperature: keys.temp ?? null,
  };
}

/** Voices are computed on the CPU, and have neither context nor cache. */
export function speechLoad({ keys, machine, refuse }: SectionContext): LoadSettings {
  if ((keys.devices ?? []).some((device) => device !== "cpu"))
    refuse("devices", 'voices are computed on the CPU; write `devices = ["cpu"]` or remove the key');
  const threads = keys.threads ?? "auto";
  return {
    ...PLAIN_LOAD,
    slots: keys.slots ?? 1,
    threads: threads === "auto" ? "auto" : Math.min(threads, machine.physicalCores),
    mmap: false,
  };
}

/** Keys that do nothing here and are not what the reference's default file says. */
function idleKeys(keys: SectionKeys, backend: SpeechSettings["backend"]): string[] {
  const idle = {
    ctx_size: 8192,
    batch_size: 8192,
    ubatch_size: 8192,
    n_predict: 4096,
    n_gpu_layers: 100,
    ...(backend === "espeak-ng" ? { temp: 0.8 } : {}),
  } as const;
  return (Object.keys(idle) as (keyof typeof idle)[]).filter(
    (key) => keys[key] !== undefined && keys[key] !== idle[key],
  );
}
