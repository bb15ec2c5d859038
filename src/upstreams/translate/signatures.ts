import { type Body, isObject, isString } from "./refuse.ts";
import type { AssistantPart, Metadata, ProviderOptions, StreamPart } from "./sdk.ts";

/**
 * Thinking models sign their thinking before a tool call, and require it, with its signature, in the request with the
 * tool's result. A chat has no place for it except `extra_content` of the tool call, which Google's own
 * OpenAI-compatible API also uses; clients return tool calls unchanged.
 */
type Thought = { thinking: string; signature?: string } | { redacted: string };

/** Collects signed thinking from a stream, until a tool call takes it. */
export class SignedThoughts {
  #thoughts: Thought[] = [];

  see(part: StreamPart): void {
    if (part.type === "reasoning-start") {
      const redacted = part.providerMetadata?.["anthropic"]?.["redactedData"];
      this.#thoughts.push(isString(redacted) ? { redacted } : { thinking: "" });
    }
    if (part.type !== "reasoning-delta") return;
    const thought = this.#thoughts.at(-1);
    if (thought === undefined || !("thinking" in thought)) return;
    thought.thinking += part.delta;
    const signature = part.providerMetadata?.["anthropic"]?.["signature"];
    if (isString(signature)) thought.signature = signature;
  }

  /** `extra_content` of a tool call that begins now; null: nothing is signed. */
  take(metadata: Metadata | undefined): Body | null {
    const signature = metadata?.["google"]?.["thoughtSignature"];
    if (isString(signature)) return { google: { thought_signature: signature } };
    const signed = this.#thoughts.filter((thought) => "redacted" in thought || thought.signature !== undefined);
    this.#thoughts = [];
    return signed.length === 0 ? null : { anthropic: { thinking: signed } };
  }
}

/** The thinking in a tool call of an earlier answer, to be placed before it. */
export function thoughtsBefore(call: Body): AssistantPart[] {
  const thoughts = namespace(call, "anthropic")["thinking"];
  if (!Array.isArray(thoughts)) return [];
  return thoughts.filter(isObject).flatMap((thought): AssistantPart[] => {
    const { thinking, signature, redacted } = thought;
    if (isString(redacted))
      return [{ type: "reasoning", text: "", providerOptions: { anthropic: { redactedData: redacted } } }];
    if (!isString(thinking) || !isString(signature)) return [];
    return [{ type: "reasoning", text: thinking, providerOptions: { anthropic: { signature } } }];
  });
}

/** The signature of a tool call of an earlier answer. */
export function signatureOf(call: Body): { providerOptions: ProviderOptions } | null {
  const signature = namespace(call, "google")["thought_signature"];
  return isString(signature) ? { providerOptions: { google: { thoughtSignature: signature } } } : null;
}

function namespace(call: Body, name: string): Body {
  const extra = call["extra_content"];
  const mine = isObject(extra) ? extra[name] : undefined;
  return isObject(mine) ? mine : {};
}
