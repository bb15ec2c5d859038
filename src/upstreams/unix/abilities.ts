import { request } from "node:http";
import { type Feature, featuresOf, lacks } from "../../core/capabilities.ts";
import { type Endpoint, requestOptions } from "../../core/endpoint.ts";
import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall } from "../../core/inference.ts";
import type { ModelSpec } from "../../core/model.ts";

const PATIENCE_MS = 5_000;
const MAX_BYTES = 4 * 2 ** 20;

/**
 * The abilities of a running engine's model, as reported by the engine: it has read the model's file, and knows which
 * chat template is used. Requested once, and only for requests that need it: an engine silently ignores what it does
 * not support.
 */
export class Abilities {
  readonly #endpoint: Endpoint;
  readonly #known = new Map<string, Promise<unknown>>();

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Why the call cannot be served, or null. Abilities that an engine does not report are assumed. */
  async lacks(call: InferenceCall, { name: model, capabilities }: ModelSpec): Promise<AssistantError | null> {
    for (const feature of featuresOf(call))
      if ((await this.#has(feature)) === false)
        return lacks(model, feature, { ...capabilities, [feature.key]: false }, null);
    const { dimensions } = call.body.json;
    if (call.operation !== "embedding" || typeof dimensions !== "number") return null;
    const length = await this.#embeddingLength();
    if (length === null || length === dimensions) return null;
    return new AssistantError(
      "invalid_request",
      `The field "dimensions" must be ${length}, the length of the vectors of "${model}"; found the number ${dimensions}.`,
      {
        param: "dimensions",
        remedy: "Leave it out.",
      },
    );
  }

  async #has({ key }: Feature): Promise<boolean | null> {
    const props = (await this.#ask("/props")) as Props | null;
    const has = key === "tools" ? props?.chat_template_caps?.supports_tools : props?.modalities?.[key];
    return typeof has === "boolean" ? has : null;
  }

  async #embeddingLength(): Promise<number | null> {
    const models = (await this.#ask("/v1/models")) as { data?: readonly { meta?: { n_embd?: unknown } }[] } | null;
    const length = models?.data?.[0]?.meta?.n_embd;
    return typeof length === "number" ? length : null;
  }

  #ask(path: string): Promise<unknown> {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const answer = get(this.#endpoint, path).catch(() => {
      this.#known.delete(path);
      return null;
    });
    this.#known.set(path, answer);
    return answer;
  }
}

/** The parts of `/props` that are read; any may be missing. */
interface Props {
  readonly chat_template_caps?: { readonly supports_tools?: unknown };
  readonly modalities?: Readonly<Record<string, unknown>>;
}

/**
 * Whether a call needs an ability that only some engines and models have, and that they do not refuse by themselves.
 */
export const needsAbilities = (call: InferenceCall): boolean =>
  featuresOf(call).length > 0 || (call.operation === "embedding" && typeof call.body.json["dimensions"] === "number");

function get(endpoint: Endpoint, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const outgoing = request(
      { ...requestOptions(endpoint), path, agent: false, signal, headers: { connection: "close", host: "engine" } },
      (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on("data", (part: Buffer) => {
          size += part.length;
          if (size > MAX_BYTES) outgoing.destroy(new Error("the answer is too long"));
          else parts.push(part);
        });
        response.on("error", reject);
        response.on("end", () => {
          try {
            resolve(response.statusCode === 200 ? JSON.parse(Buffer.concat(parts).toString()) : null);
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    outgoing.on("upgrade", (_, socket) => {
      socket.destroy();
      reject(new Error("another protocol than HTTP"));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}
