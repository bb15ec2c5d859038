import { isAssistantError } from "../../core/errors.ts";
import { NO_FACTS } from "../../core/upstream.ts";
import { malformed, transportFailure } from "../http/failure.ts";
import type { TranslatedCall, Translation } from "./call.ts";
import { refusedBy } from "./failure.ts";
import { callOptions } from "./options.ts";
import { isNumber, isObject, parsed } from "./refuse.ts";
import { refuseWarnings } from "./warnings.ts";

/** The number of tokens of a chat, as counted by the service. Throws like `chatCall`. */
export async function countCall({ sending, dialect, service, asked, fetch }: Translation): Promise<TranslatedCall> {
  const { provider, providerModel } = asked;
  const { options, extras } = callOptions(sending.call.body.json, dialect, asked);
  const shaped = service.shape(providerModel, options, extras);
  refuseWarnings(await service.warnings(providerModel, shaped), shaped, asked);
  const { path, body, field } = await service.counting(providerModel, shaped);
  let isCounted = false;

  async function* answer(signal: AbortSignal): AsyncGenerator<Buffer> {
    const headers = { "content-type": "application/json", ...dialect.headers(provider.apiKey) };
    const request = { method: "POST", headers, body: JSON.stringify(body), signal };
    const response = await fetch(provider.baseUrl + path, request).catch((error: unknown) => {
      throw isAssistantError(error) ? error : transportFailure(provider, (error as Error).cause ?? error);
    });
    const text = await response.text();
    if (response.status !== 200) throw refusedBy(response.status, Object.fromEntries(response.headers), text, asked);
    const told = parsed(text);
    const count = isObject(told) ? told[field] : null;
    if (!isNumber(count)) throw malformed(asked, `answered something without "${field}" at ${path}`);
    isCounted = true;
    yield Buffer.from(JSON.stringify({ object: "response.input_tokens", input_tokens: count }));
  }

  return { answer, facts: () => (isCounted ? NO_FACTS : null) };
}
