import { type Capabilities, capabilitiesOfKind, isModelKind, type ModelSpec, modelKinds } from "../core/model.ts";

export type { Capabilities };

/** The parts of a GGUF header that capabilities are derived from. Null: the header does not have it. */
export interface CapabilityFacts {
  /** `general.architecture`. */
  readonly architecture: string | null;
  /** `general.type`: `model`, `adapter`, `mmproj`, … */
  readonly fileType: string | null;
  /** The Jinja text of `tokenizer.chat_template`. */
  readonly chatTemplate: string | null;
  readonly pooling: "none" | "mean" | "cls" | "last" | "rank" | null;
  /** False: attention looks both ways, as in encoders. */
  readonly causal: boolean | null;
  /** The vocabulary has tokens for filling in the middle. */
  readonly hasInfillTokens: boolean;
  /** Of a projector: what it encodes. */
  readonly encodesImages: boolean | null;
  readonly encodesAudio: boolean | null;
}

/** Architectures in GGUF form that other programs run (stable-diffusion.cpp, ComfyUI): they draw. */
const IMAGE_ARCHITECTURES = [
  "aura",
  "cosmos",
  "flux",
  "hidream",
  "hyvid",
  "ltxv",
  "lumina2",
  "qwen_image",
  "sd1",
  "sd3",
  "sdxl",
  "wan",
];
const PROJECTOR_ARCHITECTURE = "clip";
/** Inside `{{ … }}` or `{% … %}`: text of the template may mention tools without taking any. */
const TAKES_TOOLS = /\{[{%][^}]*\btools\b[^}]*[}%]\}/;
/** The tags and variables by which the templates of reasoning models are known. */
const REASONS =
  /<think>|<\/think>|\[THINK\]|<seed:think>|<\|channel\|>|<\|inner_prefix\|>|enable_thinking|reasoning_(content|effort)|thinking_budget/;

/**
 * The capabilities indicated by a GGUF file's header. Always has `type`: `chat`, `embedding` or `rerank`, or, for files
 * that are not models by themselves, `projector`, `adapter` or `image`. Chat models also have `tools`, `reasoning`,
 * `infill`, `vision` and `audio`; the last two require a projector (`withProjector`).
 */
export function capabilitiesOf(facts: CapabilityFacts): Capabilities {
  const type = typeOf(facts);
  if (type === "projector")
    return { type, vision: facts.encodesImages ?? facts.encodesAudio !== true, audio: facts.encodesAudio ?? false };
  if (type !== "chat") return { type };
  const template = facts.chatTemplate ?? "";
  return {
    type,
    tools: TAKES_TOOLS.test(template),
    reasoning: REASONS.test(template),
    infill: facts.hasInfillTokens,
    vision: false,
    audio: false,
  };
}

function typeOf({ architecture, fileType, chatTemplate, pooling, causal }: CapabilityFacts): string {
  if (fileType === "adapter") return "adapter";
  if (fileType === "mmproj" || architecture === PROJECTOR_ARCHITECTURE) return "projector";
  if (architecture !== null && IMAGE_ARCHITECTURES.includes(architecture)) return "image";
  if (pooling === "rank") return "rerank";
  // Embedding models made from chat models keep the template; chat models have no pooling.
  if (pooling !== null && pooling !== "none") return "embedding";
  // With a template, attention both ways is that of a diffusion language model, which chats.
  return chatTemplate === null && (pooling === "none" || causal === false) ? "embedding" : "chat";
}

/** A model's capabilities together with those of the projector that it is loaded with. */
export const withProjector = (model: Capabilities, projector: Capabilities | null): Capabilities =>
  projector?.["type"] === "projector" && model["type"] === "chat"
    ? { ...model, vision: projector["vision"] === true, audio: projector["audio"] === true }
    : model;

/** The parts of a header that `offeredBy` reads. */
export interface KnownWeights {
  readonly architecture: string | null;
  /** With those of the projector that it is loaded with. */
  readonly capabilities: Capabilities;
}

/**
 * What a configured model offers: what its kind and its weights say, and over that what its file says. Nothing is added
 * where the weights are not known, such as those of a model that another machine, a provider or another program runs.
 */
export function offeredBy(
  { kind, capabilities, command, load }: Pick<ModelSpec, "kind" | "capabilities" | "command" | "load">,
  weights: KnownWeights | null,
): Capabilities {
  const isKnown = weights !== null && weights.architecture !== null && command === undefined;
  if (!isKnown || !modelKinds[kind].generates) return capabilities;
  const { tools, reasoning, ...others } = weights.capabilities;
  // With a built-in template, the file's own does not count. ChatML has no tools; the engine knows about the others.
  const ofTemplate =
    load.chatTemplate === ""
      ? { tools, reasoning }
      : load.chatTemplate === "chatml"
        ? { tools: false, reasoning: false }
        : {};
  return { ...others, ...withoutUnknown(ofTemplate), ...capabilities };
}

/** The same of weights that no configuration names. */
export function offeredByWeights(capabilities: Capabilities): Capabilities {
  const { type } = capabilities;
  return typeof type === "string" && isModelKind(type)
    ? { ...capabilities, ...capabilitiesOfKind(type) }
    : capabilities;
}

const withoutUnknown = (features: Readonly<Record<string, string | number | boolean | undefined>>): Capabilities =>
  Object.fromEntries(
    Object.entries(features).filter((entry): entry is [string, string | number | boolean] => entry[1] !== undefined),
  );
