import type { LaunchPlan } from "../../core/engine.ts";
import type { ModelKind, SamplingDefaults } from "../../core/model.ts";
import { nearestNames } from "../../core/nearest.ts";
import { refuse, refuseLongSocket, refuseTwoGrammars } from "../honour.ts";
import { settingArguments } from "./settings.ts";

/** Names supported by `--chat-template`. A wrong one would only be detected after the weights were loaded. */
const chatTemplates = [
  ..."bailing bailing-think bailing2 chatglm3 chatglm4 chatml command-r deepseek deepseek-ocr deepseek2 deepseek3".split(
    " ",
  ),
  ..."exaone-moe exaone3 exaone4 falcon3 gemma gigachat glmedge gpt-oss granite granite-4.0 granite-4.1 grok-2".split(
    " ",
  ),
  ..."hunyuan-dense hunyuan-moe hunyuan-vl kimi-k2 llama2 llama2-sys llama2-sys-bos llama2-sys-strip llama3 llama4".split(
    " ",
  ),
  ..."megrez minicpm mistral-v1 mistral-v3 mistral-v3-tekken mistral-v7 mistral-v7-tekken monarch openchat orion".split(
    " ",
  ),
  ..."pangu-embedded phi3 phi4 rwkv-world seed_oss smolvlm solar-open vicuna vicuna-orca yandex zephyr".split(" "),
];

/** Flags that the supervisor's picture of an instance rests on; a second value would make it wrong. */
const ownFlags = new Map(
  Object.entries({
    host: "--host --port --reuse-port --api-prefix --ssl-key-file --ssl-cert-file --api-key --api-key-file",
    model: "-m --model -mu --model-url -hf -hfr --hf-repo -hff --hf-file -dr --docker-repo -a --alias",
    slots: "-np --parallel -c --ctx-size -kvu --kv-unified --kv-unified-per-slot --no-slots --context-shift -fit --fit",
    threads: "-t --threads -tb --threads-batch",
    kind: "--embedding --embeddings --rerank --reranking",
    "saved slots": "--slot-save-path",
  }).flatMap(([topic, flags]) => flags.split(" ").map((flag) => [flag, topic] as const)),
);

/**
 * Arguments of llama-server that make it serve `plan`. Nothing is left to its guesses: what the configuration says is
 * what runs. Throws `config_invalid` on settings that cannot be honoured.
 */
export function llamaServerArguments(plan: LaunchPlan): string[] {
  const { load, name, kind } = plan.model;
  refuseTwoGrammars(plan);
  refuseLongSocket(plan, "llama-server");
  return [
    ...["--host", plan.socketPath, "--model", plan.modelPath, "--alias", name],
    ...["--parallel", String(load.slots), "--ctx-size", String(load.contextTokens * load.slots)],
    // Without its own thread each waiting client would keep /health and /slots from being answered.
    ...[
      "--threads",
      String(plan.lending?.mostThreads ?? plan.threads),
      "--threads-http",
      String(load.slots * 2 + 6),
      // Threads without work sleep: by default they spin for up to a tenth of a second, on cores that others need. This
      // also holds for batches, unless --threads-batch is given: those threads would be others, and spin.
      "--poll",
      "0",
    ],
    ...deviceArguments(plan),
    ...(load.mmap ? ["--load-mode", "mmap"] : ["--load-mode", "none"]),
    ...["--cache-type-k", load.cacheTypeK, "--cache-type-v", load.cacheTypeV, "--cache-ram", String(load.hostCacheMib)],
    ...kindArguments[kind](plan),
    // On shutdown it waits for open streams, and checks them only when a ping is due: 30 s by default.
    ...["--sse-ping-interval", "5"],
    // A full context ends an answer; the beginning of the prompt is never dropped.
    ...["--no-context-shift", "--fit", "off", "--offline", "--no-ui", "--slots", "--metrics", "--log-colors", "off"],
    ...(plan.slotDir === undefined ? [] : ["--slot-save-path", plan.slotDir]),
    ...settingArguments(plan).flatMap(({ args }) => args),
    ...extraArguments(plan),
  ];
}

function deviceArguments(plan: LaunchPlan): string[] {
  const { load } = plan.model;
  if (plan.device.vendor === "cpu") return ["--device", "none", "--gpu-layers", "0"];
  const layers = load.gpuLayers < 0 ? "all" : String(load.gpuLayers);
  const shares = load.tensorSplit.length > 0 ? ["--tensor-split", load.tensorSplit.join(",")] : [];
  // The device's environment hides all GPUs but one, which is number 0 then, whatever its index on the machine is.
  return ["--gpu-layers", layers, "--split-mode", load.splitMode, "--main-gpu", "0", ...shares];
}

const batchArguments = ({ model: { load } }: LaunchPlan): string[] => [
  ...[
    "--batch-size",
    String(load.batchTokens),
    "--ubatch-size",
    String(Math.min(load.microBatchTokens, load.batchTokens)),
  ],
];

const kindArguments: Readonly<Record<ModelKind, (plan: LaunchPlan) => string[]>> = {
  chat: (plan) => [...chatArguments(plan), ...samplingArguments(plan.model.sampling)],
  embedding: embeddingArguments,
  // It sets the pooling too.
  rerank: (plan) => ["--reranking", ...batchArguments(plan)],
  transcription: chatArguments,
  speech: (plan) => refuse(plan, "engine", "llama-server does not generate speech.", "Remove `engine`."),
  image: (plan) => refuse(plan, "engine", "llama-server does not generate images.", 'Write `engine = "command"`.'),
  moderation: (plan) => refuse(plan, "engine", "llama-server does not moderate.", "Use a provider's model."),
  handler: (plan) => refuse(plan, "engine", "llama-server runs no handlers.", "Remove `engine`."),
};

function embeddingArguments(plan: LaunchPlan): string[] {
  const { load } = plan.model;
  return ["--embeddings", ...batchArguments(plan), ...(load.pooling === null ? [] : ["--pooling", load.pooling])];
}

function chatArguments(plan: LaunchPlan): string[] {
  const { load } = plan.model;
  if (load.pooling !== null)
    refuse(plan, "pooling", "pooling is set on a chat model.", "Remove it; it is for embedding models.");
  return [
    ...batchArguments(plan),
    "--jinja",
    ...(load.chatTemplate === "" ? [] : ["--chat-template", knownTemplate(plan)]),
    ...(load.projectorPath === "" ? [] : ["--mmproj", load.projectorPath]),
  ];
}

function knownTemplate(plan: LaunchPlan): string {
  const given = plan.model.load.chatTemplate;
  if (chatTemplates.includes(given)) return given;
  const near = nearestNames(given, chatTemplates);
  const meant = near.length > 0 ? `Did you mean ${near.join(", ")}?` : 'Write "" for the model\'s own template.';
  refuse(plan, "prompt_template", `prompt_template "${given}" is not a built-in template of llama-server.`, meant);
}

function samplingArguments(sampling: SamplingDefaults): string[] {
  const flag = (name: string, value: number | null): string[] => (value === null ? [] : [name, String(value)]);
  return [
    ...flag("--temp", sampling.temperature),
    ...flag("--top-p", sampling.topP),
    ...flag("--top-k", sampling.topK),
    ...flag("--min-p", sampling.minP),
    ...flag("--repeat-penalty", sampling.repeatPenalty),
    ...flag("--presence-penalty", sampling.presencePenalty),
    ...flag("--frequency-penalty", sampling.frequencyPenalty),
    ...["--predict", String(sampling.maxTokens)],
    // Stop strings are already unescaped; llama-server would interpret `\n` in them again.
    "--no-escape",
    ...sampling.stop.flatMap((text) => ["--reverse-prompt", text]),
    ...(sampling.grammar === "" ? [] : ["--grammar", sampling.grammar]),
    ...(sampling.jsonSchema === "" ? [] : ["--json-schema", sampling.jsonSchema]),
  ];
}

function extraArguments(plan: LaunchPlan): readonly string[] {
  for (const argument of plan.model.load.extraArgs) {
    const flag = argument.split("=", 1)[0] ?? argument;
    const topic = ownFlags.get(flag);
    if (topic)
      refuse(plan, "extra_args", `extra_args sets ${flag}, which Assistant sets itself (${topic}).`, `Remove ${flag}.`);
  }
  return plan.model.load.extraArgs;
}
