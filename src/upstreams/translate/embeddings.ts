import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import type { TranslatedCall, Translation } from "./call.ts";
import { isNumber, isString, mustBe, refused } from "./refuse.ts";

/** Google's limit for one request. */
const MAX_BATCH = 100;

const FIELDS: ReadonlySet<string> = new Set(["model", "input", "user", "encoding_format", "dimensions"]);

/**
 * Throws `invalid_request` or `wrong_model_kind` for what the provider does not support; nothing has been sent then.
 */
export function embeddingCall({ sending, service, asked, fetch }: Translation): TranslatedCall {
  const { json } = sending.call.body;
  if (service.embed === undefined)
    throw new AssistantError(
      "wrong_model_kind",
      `The provider "${asked.provider.name}" of "${asked.model}" has no embeddings.`,
    );
  const embed = service.embed.bind(service);
  for (const [name, value] of Object.entries(json))
    if (value !== null && !FIELDS.has(name))
      throw refused(name, `The field "${name.slice(0, 100)}" is not supported by "${asked.model}".`, "Leave it out.");
  const inputs = inputsOf(json, asked.provider.name);
  const { dimensions: length = null, encoding_format: encoding = null } = json;
  const dimensions = length === null ? null : mustBe(length, isNumber, "a number", "dimensions");
  if (encoding !== null && encoding !== "float" && encoding !== "base64")
    throw refused("encoding_format", 'The field "encoding_format" must be "float" or "base64".');
  let facts: AnswerFacts | null = null;

  async function* answer(signal: AbortSignal): AsyncGenerator<Buffer> {
    const vectors: number[][] = [];
    for (let start = 0; start < inputs.length; start += MAX_BATCH)
      vectors.push(
        ...(await embed(
          asked.providerModel,
          { inputs: inputs.slice(start, start + MAX_BATCH), ...{ dimensions, signal } },
          fetch,
        )),
      );
    facts = NO_FACTS;
    const data = vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: encoding === "base64" ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector,
    }));
    // Clients expect counts, which the provider does not report.
    const usage = { prompt_tokens: 0, total_tokens: 0 };
    yield Buffer.from(JSON.stringify({ object: "list", data, model: asked.model, usage }));
  }

  return { answer, facts: () => facts };
}

function inputsOf({ input }: JsonObject, provider: string): readonly string[] {
  const inputs = Array.isArray(input) ? input : [input];
  if (inputs.length > 0 && inputs.every(isString)) return inputs;
  throw refused(
    "input",
    `The field "input" must be a text or a list of texts: the provider "${provider}" does not accept token ids.`,
  );
}
