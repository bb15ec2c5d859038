import { requestHeaders } from "../../api/headers.ts";
import type { AnswerSink } from "../../core/inference.ts";
import { type AnswerFacts, SendFailure, type Sending, type Upstream } from "../../core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../answer/delivery.ts";
import type { ConnectorContext, ListedModel, ProviderConnection } from "../connector.ts";
import { forwardHeaders } from "../forward-headers.ts";
import { withModel } from "../json-members.ts";
import { contentTypeOf, encodeBody, isLlamaCpp, noLlamaCpp, pathOf, withSettings } from "../openai-body.ts";
import { type ProviderReceiver, providerReceiver } from "./answers.ts";
import { type Asked, errorAnswer, malformed, retryOf } from "./failure.ts";
import { listedModels } from "./model-list.ts";
import { ownWords } from "./own-words.ts";

/** Twenty times the longest known list, which has some hundred models with full descriptions. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;

/** An API like OpenAI's: requests and answers pass through unchanged, except for the model's name. */
export function connectOpenAi(context: ConnectorContext): ProviderConnection {
  return { upstream: new OpenAiUpstream(context), listModels: () => listModels(context) };
}

const authorization = ({ provider: { apiKey } }: ConnectorContext): Record<string, string> =>
  apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };

class OpenAiUpstream implements Upstream {
  readonly #context: ConnectorContext;

  constructor(context: ConnectorContext) {
    this.#context = context;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { provider } = this.#context;
    // Of llama-server's own routes, only one is below the version, and another daemon has it.
    const isKnown = provider.isAssistant && sending.call.wire === "llamacpp.tokens";
    if (isLlamaCpp(sending.call.wire) && !isKnown)
      throw new SendFailure(noLlamaCpp(`The provider "${provider.name}"`, sending.model), "never");
    const body = this.#body(sending);
    return deliver({
      sending,
      sink,
      retryAfter: retryOf,
      open: (delivery) => this.#open(sending, body, sink, delivery),
    });
  }

  /** As the client wrote it, except for the model's name and fields that the provider names differently. */
  #body({ call, model }: Sending): Buffer {
    const { provider, modelName } = this.#context;
    const json = withSettings(call, model);
    const name = modelName(model);
    return call.body.form === undefined
      ? withModel(encodeBody(call, json), name, ownWords(json, call.wire, provider))
      : encodeBody(call, { ...json, model: name });
  }

  #open(sending: Sending, body: Buffer, sink: AnswerSink, delivery: Delivery): AnswerSource {
    const { call, model, headers } = sending;
    const { provider, client, nodeId, modelName } = this.#context;
    const providerModel = modelName(model);
    const { operation, streamed } = call;
    const target = { provider, model: model.name, providerModel, operation, sink, headers, streamed };
    let receiver: ProviderReceiver | null = null;
    const exchange = client.open(
      {
        method: "POST",
        // The base URL includes the version.
        path: pathOf[call.wire].replace(/^\/v1/, ""),
        headers: {
          "content-type": contentTypeOf(call),
          ...authorization(this.#context),
          ...(provider.isAssistant ? forwardHeaders(sending, nodeId) : sending.trace),
        },
        body,
      },
      {
        onHead: (status, head) =>
          delivery.head(() => {
            receiver = providerReceiver(status, head, target);
            return receiver;
          }),
        onBody: (bytes) => delivery.body(bytes),
        onEnd: () => delivery.closed(),
        onFailure: (error) => delivery.fail(error),
      },
    );
    return { resume: () => exchange.resume(), close: () => exchange.close(receiver?.isComplete ?? false) };
  }
}

/** `GET /models`. An API without it returns 404, which is not a problem. */
function listModels(context: ConnectorContext): Promise<readonly ListedModel[] | null> {
  const { provider, client, nodeId } = context;
  const asked: Asked = { provider, model: null, providerModel: null, operation: null };
  const hops = provider.isAssistant ? { [requestHeaders.hops]: nodeId } : {};
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let status = 0;
    let head = {};
    let left = MAX_LIST_BYTES;
    const exchange = client.open(
      { method: "GET", path: "/models", headers: { ...authorization(context), ...hops } },
      {
        onHead: (code, headers) => {
          status = code;
          head = headers;
        },
        onBody: (bytes) => {
          parts.push(bytes);
          left -= bytes.length;
          if (left >= 0) return true;
          exchange.close(false);
          reject(malformed(asked, `lists its models in more than ${MAX_LIST_BYTES / 2 ** 20} MiB`));
          return true;
        },
        onEnd: () => {
          const text = Buffer.concat(parts).toString("utf8");
          if (status === 200) {
            const models = listedModels(text);
            if (models === null)
              reject(
                malformed(
                  asked,
                  "answered something other than a list of models at /models",
                  `Check \`base_url\` (${provider.baseUrl}), or set \`discovery = false\` and write \`models\`.`,
                ),
              );
            else resolve(models);
          } else if (status === 404 || status === 405) resolve(null);
          else reject(errorAnswer(status, head, text, asked));
        },
        onFailure: reject,
      },
    );
  });
}
