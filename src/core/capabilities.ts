import { AssistantError } from "./errors.ts";
import type { InferenceCall } from "./inference.ts";
import type { Capabilities } from "./model.ts";

/** A feature that a request asks for and that not every model of its kind has. */
export interface Feature {
  /** Key among a model's capabilities. */
  readonly key: string;
  /** The field of the request that asks for it. */
  readonly param: string;
  /** For messages: "does not take images". */
  readonly lack: string;
  readonly remedy: string;
}

/** By the type of a message's part. */
const media: Readonly<Record<string, Feature>> = {
  image_url: {
    key: "vision",
    param: "messages",
    lack: "does not take images",
    remedy: "Send only text, or configure a projector for the model (`llava_mmproj`).",
  },
  ...Object.fromEntries(
    ["input_video", "video_url"].map((type) => [
      type,
      {
        key: "vision",
        param: "messages",
        lack: "does not take video",
        remedy: "Send only text, or configure a projector for the model (`llava_mmproj`).",
      },
    ]),
  ),
  input_audio: {
    key: "audio",
    param: "messages",
    lack: "does not accept audio",
    remedy: "Send only text, or configure a projector with audio support (`llava_mmproj`).",
  },
};

const tools: Feature = {
  key: "tools",
  param: "tools",
  lack: "does not call tools: its chat template has no place for them",
  remedy: "Use a model that supports function calling, or omit `tools`.",
};

const infill: Feature = {
  key: "infill",
  param: "model",
  lack: "does not support infill: its vocabulary has no prefix and suffix tokens",
  remedy: "Use a model for code completion.",
};

/** The features that a call asks for. */
export function featuresOf({
  operation,
  wire,
  body: { json },
  prompt,
}: Pick<InferenceCall, "operation" | "wire" | "body" | "prompt">): readonly Feature[] {
  if (wire === "llamacpp.infill") return [infill];
  if (operation === "completion" && asksGap(json["suffix"])) return [{ ...infill, param: "suffix" }];
  if (operation !== "chat") return [];
  const found: Feature[] = asksTools(json["tools"], json["tool_choice"]) ? [tools] : [];
  for (const part of partTypesOf(prompt.messages)) {
    const feature = Object.hasOwn(media, part) ? media[part] : undefined;
    if (feature !== undefined && !found.includes(feature)) found.push(feature);
  }
  return found;
}

const asksGap = (suffix: unknown): boolean => typeof suffix === "string" && suffix !== "";
const asksTools = (list: unknown, choice: unknown): boolean =>
  Array.isArray(list) && list.length > 0 && choice !== "none";

/** Types of the parts of all messages; messages that are plain text have none. */
function partTypesOf(messages: unknown): readonly string[] {
  const types: string[] = [];
  if (!Array.isArray(messages)) return types;
  for (const message of messages as readonly ({ readonly content?: unknown } | null)[]) {
    const content = message?.content;
    if (!Array.isArray(content)) continue;
    for (const part of content as readonly ({ readonly type?: unknown } | null)[])
      if (typeof part?.type === "string") types.push(part.type);
  }
  return types;
}

/** `unsupported_capability`. `able`: names of models that have it, which the caller may use; null: not known. */
export function lacks(
  model: string,
  feature: Feature,
  capabilities: Capabilities,
  able: readonly string[] | null,
): AssistantError {
  const choice =
    able === null ? "" : able.length > 0 ? ` For this, use ${quoted(able)}.` : " No configured model is known to.";
  return new AssistantError("unsupported_capability", `"${model}" ${feature.lack}. ${offers(capabilities)}${choice}`, {
    param: feature.param,
    remedy: feature.remedy,
  });
}

/** "It offers chat, completion, tools." */
export function offers(capabilities: Capabilities): string {
  const on = Object.entries(capabilities).filter(([, value]) => value === true);
  return `It offers ${on
    .map(([key]) => key)
    .sort()
    .join(", ")}.`;
}

/** More names would not help the reader of a message. */
const MAX_NAMED = 10;

export function quoted(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  const named = names.slice(0, MAX_NAMED).map((name) => `"${name}"`);
  return more > 0 ? `${named.join(", ")} and ${more} more` : named.join(", ");
}
