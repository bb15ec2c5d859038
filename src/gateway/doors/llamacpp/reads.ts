import { basename } from "node:path";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { AssistantError } from "../../../core/errors.ts";
import { newRequestId } from "../../../core/ids.ts";
import type { WireFormat } from "../../../core/inference.ts";
import { answerOf } from "../../../inference/collect.ts";
import type { InferenceCore } from "../../../inference/core.ts";
import { type ModelDirectory, resolveModel } from "../../../inference/resolve.ts";
import type { Authorizer } from "../../front/authorize.ts";
import { callHeaders } from "../../front/call-headers.ts";
import { cancellationOf } from "../../front/disconnect.ts";
import type { RunningSlots } from "../../ports.ts";

export interface ReadRoutesOptions {
  readonly directory: ModelDirectory;
  readonly inference: InferenceCore;
  readonly authorizer: Pick<Authorizer, "admit">;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
  /** The slots of a model's running instances. */
  readonly slots: RunningSlots;
}

/**
 * llama-server's information about itself, for one model. Its routes that would change a running engine are refused:
 * engines are shared.
 */
export function registerReadRoutes(app: FastifyInstance, options: ReadRoutesOptions): void {
  app.get("/props", async (request) => withoutFolders(await ask(request, "llamacpp.props", options)));
  app.get("/lora-adapters", async (request) => {
    const adapters = (await ask(request, "llamacpp.adapters", options)) as readonly object[];
    return adapters.map(withoutFolders);
  });
  app.get("/slots", { config: { scope: "metrics" } }, async (request) => {
    const { directory, onlyModels, slots } = options;
    const { caller } = request.identity;
    const selector = { model: modelOf(request), among: onlyModels };
    const found = await slots(resolveModel(directory, { selector, operation: "tokenize", caller }).name);
    const { fail_on_no_slot: mustBeIdle } = request.query as Record<string, unknown>;
    if (mustBeIdle !== undefined && found.length > 0 && found.every(({ slot }) => slot["is_processing"] === true))
      throw new AssistantError("no_capacity", "No slot is idle.", { retryAfterS: 1 });
    return found.map(({ instance, slot }) => ({ ...shownOf(slot), instance }));
  });
  const refuse = (path: string, message: string, remedy: string): void => {
    app.post(path, async () => {
      throw new AssistantError("unsupported_capability", message, { remedy });
    });
  };
  refuse(
    "/props",
    "The properties of a running engine cannot be changed by requests.",
    "Change the model's file; it is reloaded by itself.",
  );
  refuse(
    "/lora-adapters",
    "A request cannot change the adapters of a running engine for other clients.",
    "Send `lora` with each request, or change `[[chat.lora]]` in the model's file.",
  );
  refuse(
    "/slots/:id",
    "Only the daemon saves, restores and erases slots.",
    "The daemon saves conversations automatically; `cache_prompt: false` bypasses the cache.",
  );
}

const modelOf = ({ query }: FastifyRequest): string => {
  const { model } = query as { model?: unknown };
  return typeof model === "string" ? model : "";
};

/** Calls an instance of the model, which is started if there is none. */
async function ask(
  request: FastifyRequest,
  wire: WireFormat,
  { inference, authorizer, onlyModels }: ReadRoutesOptions,
): Promise<object> {
  const ended = authorizer.admit(request.identity);
  using cancellation = cancellationOf(request.raw.socket);
  try {
    const { body } = await answerOf(inference, {
      id: newRequestId(),
      caller: request.identity.caller,
      route: request.routeOptions.url ?? "",
      arrivedAt: performance.now(),
      cancellation,
      selector: { model: modelOf(request), among: onlyModels },
      operation: "tokenize",
      wire,
      body: { json: {}, bytes: Buffer.alloc(0) },
      prompt: {},
      streamed: false,
      maxTokens: 0,
      ...callHeaders(request.headers, false),
    });
    return JSON.parse(body.toString()) as object;
  } finally {
    ended?.();
  }
}

/** Paths on this machine are not revealed. */
const withoutFolders = (answer: object): object =>
  Object.fromEntries(
    Object.entries(answer).map(([name, value]) =>
      (name === "path" || name === "model_path") && typeof value === "string" ? [name, basename(value)] : [name, value],
    ),
  );

/** The fields with the progress of a slot. Others contain its prompt, or the request's settings. */
const SHOWN = [
  "id",
  "id_task",
  "n_ctx",
  "speculative",
  "is_processing",
  "n_prompt_tokens",
  "n_prompt_tokens_processed",
  "n_prompt_tokens_cache",
];
const SHOWN_OF_NEXT = ["has_next_token", "has_new_line", "n_remain", "n_decoded"];

const only = (value: unknown, names: readonly string[]): object =>
  Object.fromEntries(Object.entries((value ?? {}) as object).filter(([name]) => names.includes(name)));

const shownOf = (slot: Readonly<Record<string, unknown>>): object => ({
  ...only(slot, SHOWN),
  ...(Array.isArray(slot["next_token"])
    ? { next_token: slot["next_token"].map((next) => only(next, SHOWN_OF_NEXT)) }
    : {}),
});
