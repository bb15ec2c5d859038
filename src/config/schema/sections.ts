import { Type } from "../../core/schema.ts";
import { defaults } from "../defaults.ts";
import { choice, flag, integer, integerOrAuto, list, type SpecNote, text, textOrList } from "./kit.ts";
import { llamaLoading } from "./llama.ts";

export const kept = (value: string, becomes = "honoured"): SpecNote => ({ value, becomes });
const cacheTypes = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"] as const;
export const engineDefault = "the engine's own";

/** Keys that say which model it is and where its weights are. */
export const identity = {
  source: text(
    "Weights: a catalog name (`smollm2`), `hf:ORG/REPO/FILE.gguf`, or the path of a GGUF file. " +
      "A section without `source` serves nothing unless a `[[llama_servers]]` entry provides the path.",
  ),
  model_path: text("Path of the weights, instead of `source`; relative to this file."),
  provider: textOrList("Instead of weights: the `[[providers]]` entry that serves the model, or several entries."),
  provider_model: textOrList("The provider's name of the model, or one name per provider.", {
    defaultText: "`model_name`",
  }),
  fallbacks: list(
    Type.String({ minLength: 1 }),
    "Models to use instead, in order, if the model cannot be served and no part of an answer has been sent.",
    { default: [] },
  ),
  aliases: list(Type.String({ minLength: 1 }), "Additional names of the model.", { default: [] }),
  engine: choice(
    ["auto", "llama-server", "node-llama-cpp", "command", "speech"],
    "Engine that runs the model. `auto`: llama-server if available, else the embedded node-llama-cpp; for `[tts]`, " +
      "the engine `speech`. `command`: the program under `[command]`; " +
      "`source` is then the program's name for the model.",
    { default: "auto" },
  ),
};

/** Keys of ours about where, when and how many instances run. */
export const placement = {
  devices: list(
    Type.String({ minLength: 1 }),
    'Devices that the model may run on, such as `["cuda:0", "cuda:1"]` or `["cpu"]`; `assistant doctor` lists them.',
    { defaultText: "all GPUs, or the CPU if there is none" },
  ),
  replicas: integerOrAuto("Maximum number of instances.", {
    default: "auto",
    defaultText: '`"auto"`: one per GPU, or one on the CPU',
  }),
  replicas_min: integer("Minimum number of instances, which start with the daemon and are not stopped when idle.", {
    minimum: 0,
    default: 0,
  }),
  exclusive: flag("Run each request alone on its device.", { default: false }),
  idle_ttl_s: integer("Idle time after which an instance is stopped; -1: never.", {
    minimum: -1,
    default: defaults.idleTtlS,
    unit: "s",
  }),
  preload: flag("Start with the daemon instead of on the first request.", { default: false }),
  pin: flag("Never stop the model when idle or to make room.", { default: false }),
};

/** Keys about loading, that chat and embedding models share. */
export const loading = {
  slots: integer("Concurrent requests of one instance, each with its own context.", {
    minimum: 1,
    maximum: 256,
    default: defaults.slots,
  }),
  n_gpu_layers: integer("Layers to run on the GPU; -1: all. No effect on the CPU.", {
    minimum: -1,
    default: defaults.gpuLayers,
    spec: kept("100"),
  }),
  split_mode: choice(["none", "layer", "row"], "How the model is split if an instance sees several GPUs.", {
    default: "layer",
    spec: kept('"layer"', "honoured; without effect, as an instance uses one GPU in this version"),
  }),
  main_gpu: integer("Index of the GPU to run on, if `devices` is not set.", {
    minimum: 0,
    default: 0,
    spec: kept("0", "0: any GPU; N above 0: becomes `devices` with the N-th GPU, as an instance uses one GPU"),
  }),
  tensor_split: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.Number({ minimum: 0 }))], {
      description: 'Share of the model per GPU, such as `"3,1"` or `[3, 1]`; empty: proportional to memory.',
      default: "",
      spec: kept(
        '""',
        "checked and passed on; more than one share gives a warning, as an instance uses one GPU in this version",
      ),
    }),
  ),
  threads: integerOrAuto(
    "Maximum number of threads of one instance, within its share of `[scheduler] thread_budget`.",
    {
      default: "auto",
      defaultText: '`"auto"`: its share of the cores',
      spec: kept("2", "honoured, capped by the thread budget; with a warning above the number of cores"),
    },
  ),
  mmap: flag("Map the weights into memory instead of reading them; starts faster, and instances share the pages.", {
    default: true,
  }),
  no_mmap: flag("The opposite of `mmap`.", {
    default: false,
    spec: kept(
      "true",
      "honoured; the same as `mmap = false`. Default false, because mapped weights start faster and are shared " +
        "between instances",
    ),
  }),
  cache_type_k: choice([...cacheTypes], "Data type of the keys in the KV cache.", { default: "f16" }),
  cache_type_v: choice([...cacheTypes], "Data type of the values in the KV cache.", { default: "f16" }),
  pooling: choice(["none", "mean", "cls", "last", "rank"], "How token vectors are combined into one embedding.", {
    defaultText: "from the weights",
  }),
  ...llamaLoading,
  extra_args: list(
    Type.String(),
    "Additional arguments for llama-server, passed unchanged. The embedded engine refuses them.",
    { default: [] },
  ),
};
