import type { Connector, ConnectorContext, ListedModel, ProviderConnection } from "../connector.ts";
import { type Asked, errorAnswer, malformed, timedOut, transportFailure } from "../http/failure.ts";
import { anthropic } from "./anthropic.ts";
import type { Dialect } from "./dialect.ts";
import { google } from "./google.ts";
import { parsed } from "./refuse.ts";
import { TranslatingUpstream } from "./upstream.ts";

export const connectAnthropic: Connector = (context) => connect(anthropic, context);
export const connectGoogle: Connector = (context) => connect(google, context);

const connect = (dialect: Dialect, context: ConnectorContext): ProviderConnection => ({
  upstream: new TranslatingUpstream(dialect, context),
  listModels: () => listModels(dialect, context),
});

/** Twenty times the longest known list, which has some hundred models. */
const MAX_LIST_BYTES = 16 * 2 ** 20;

/** The first page, requested with the maximum length that the services allow. */
async function listModels(dialect: Dialect, { provider, client }: ConnectorContext): Promise<ListedModel[] | null> {
  const asked: Asked = { provider, model: null, providerModel: null, operation: null };
  const signal = AbortSignal.timeout(provider.connectTimeoutMs + provider.silenceTimeoutMs);
  const headers = dialect.headers(provider.apiKey);
  let answer: Response;
  let text: string | null;
  try {
    answer = await client.fetch(provider.baseUrl + dialect.listPath, { headers, signal });
    text = await boundedText(answer);
  } catch (error) {
    const { name, cause } = error as Error;
    throw name === "TimeoutError" ? timedOut(provider) : transportFailure(provider, cause ?? error);
  }
  if (text === null) throw malformed(asked, `lists its models in more than ${MAX_LIST_BYTES / 2 ** 20} MiB`);
  if (answer.status !== 200) throw errorAnswer(answer.status, Object.fromEntries(answer.headers), text, asked);
  const listed = dialect.listed(parsed(text));
  if (listed === null) throw malformed(asked, `answered something other than a list of models at ${dialect.listPath}`);
  return listed;
}

async function boundedText(answer: Response): Promise<string | null> {
  const pieces: Uint8Array[] = [];
  let left = MAX_LIST_BYTES;
  for await (const piece of answer.body ?? []) {
    pieces.push(piece);
    left -= piece.length;
    if (left < 0) return null;
  }
  return Buffer.concat(pieces).toString("utf8");
}
