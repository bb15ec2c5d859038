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
    "Weights: a name of the catalog (`smollm2`), `hf:ORG/REPO/FILE.gguf`, or the path of a GGUF file. A section without `source` serves nothing unless a `[[llama_servers]]` entry brings the path.",
  ),
  model_path: text("Weights, as a path; relative to this file. Instead of `source`."),
  provider: textOrList(
    "Instead of weights: the `[[providers]]` entry that serves the model, or several of the same model.",
  ),
  provider_model: textOrList("The provider's own name of the model, or one for each provider.", {
    defaultText: "`model_name`",
  }),
  fallbacks: list(
    Type.String({ minLength: 1 }),
    "Models that are asked in its place, in order, while it cannot be served and no part of an answer has come.",
    { default: [] },
  ),
  aliases: list(Type.String({ minLength: 1 }), "Further names by which clients may ask for it.", { default: [] }),
  engine: choice(
    ["auto", "llama-server", "node-llama-cpp", "command", "speech"],
    "Program that runs it. `auto`: llama-server where there is one, else the embedded node-llama-cpp; of [tts], the engine `speech`. `command`: the one under `[command]`; `source` is then whatever that program calls the model.",
    { default: "auto" },
  ),
};

/** Keys of ours about where, when and how many instances run. */
export const placement = {
  devices: list(
    Type.String({ minLength: 1 }),
    'Devices it may run on, such as `["cuda:0", "cuda:1"]` or `["cpu"]`; `assistant doctor` lists them.',
    {
      defaultText: "all GPUs, or the CPU where there is none",
    },
  ),
  replicas: integerOrAuto("Most instances at once.", {
    default: "auto",
    defaultText: '`"auto"`: one per GPU, or one on the CPU',
  }),
  replicas_min: integer("Fewest instances: so many are started with the daemon and are not stopped for idleness.", {
    minimum: 0,
    default: 0,
  }),
  exclusive: flag("While one of its requests runs, nothing else runs on that device.", { default: false }),
  idle_ttl_s: integer("Time without a request after which an instance is stopped; -1: never.", {
    minimum: -1,
    default: defaults.idleTtlS,
    unit: "s",
  }),
  preload: flag("Start it with the daemon instead of at the first request.", { default: false }),
  pin: flag("Never stop it, neither for idleness nor to make room.", { default: false }),
};

/** Keys about loading, that chat and embedding models share. */
export const loading = {
  slots: integer("Requests decoded at once by one instance. Each has its own context.", {
    minimum: 1,
    maximum: 256,
    default: defaults.slots,
  }),
  n_gpu_layers: integer("Layers held by the GPU; -1: all. No effect on the CPU.", {
    minimum: -1,
    default: defaults.gpuLayers,
    spec: kept("100"),
  }),
  split_mode: choice(["none", "layer", "row"], "How a model is split where an instance sees several GPUs.", {
    default: "layer",
    spec: kept('"layer"', "honoured; an instance sees one GPU in this version, so it has no effect there"),
  }),
  main_gpu: integer("Index of the GPU to run on, where `devices` is not given.", {
    minimum: 0,
    default: 0,
    spec: kept("0", "0: any GPU; N above 0: becomes `devices` with the N-th GPU, since an instance sees one GPU only"),
  }),
  tensor_split: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.Number({ minimum: 0 }))], {
      description: 'Share of the model per GPU, such as `"3,1"` or `[3, 1]`; empty: by memory.',
      default: "",
      spec: kept(
        '""',
        "checked and passed on; more than one share gives a warning, since an instance sees one GPU in this version",
      ),
    }),
  ),
  threads: integerOrAuto(
    "Most threads of one instance. Where others may come, it leaves them a share of `[scheduler] thread_budget`.",
    {
      default: "auto",
      defaultText: '`"auto"`: its share of the cores',
      spec: kept("2", "honoured, capped by the thread budget; above the cores a warning says so"),
    },
  ),
  mmap: flag("Map the weights into memory instead of reading them: starts faster, and instances share the pages.", {
    default: true,
  }),
  no_mmap: flag("The opposite of `mmap`.", {
    default: false,
    spec: kept(
      "true",
      "honoured; the same as `mmap = false`. Default false, because mapped weights start faster and are shared between instances",
    ),
  }),
  cache_type_k: choice([...cacheTypes], "Type of the keys in the KV cache.", { default: "f16" }),
  cache_type_v: choice([...cacheTypes], "Type of the values in the KV cache.", { default: "f16" }),
  pooling: choice(["none", "mean", "cls", "last", "rank"], "How token vectors become one embedding.", {
    defaultText: "what the model's file says",
  }),
  ...llamaLoading,
  extra_args: list(
    Type.String(),
    "Further arguments for llama-server, passed as they are. The embedded engine refuses them.",
    { default: [] },
  ),
};
