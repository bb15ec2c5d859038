import type { FastifyInstance, FastifyRequest } from "fastify";
import { AssistantError } from "../../../core/errors.ts";
import { modelKinds } from "../../../core/model.ts";
import { Type } from "../../../core/schema.ts";
import type { InferenceCore } from "../../../inference/core.ts";
import { countTokens } from "../../../inference/count-tokens.ts";
import { type ModelDirectory, modelsFor } from "../../../inference/resolve.ts";
import { chunksOf, type Unit, unitsOf } from "../../../retrieval/chunks.ts";
import type { Authorizer } from "../../front/authorize.ts";
import { callHeaders } from "../../front/call-headers.ts";
import { checkedBody } from "../../front/checked-body.ts";
import { cancellationOf } from "../../front/disconnect.ts";

export interface ChunkRoutesOptions {
  readonly directory: ModelDirectory;
  readonly inference: InferenceCore;
  readonly authorizer: Pick<Authorizer, "admit">;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
  /** The text of a tenant's uploaded file; null: there is none with this id. Rejects with `body_too_large`. */
  readonly fileText: (tenant: string, id: string, maxBytes: number) => Promise<string | null>;
}

/** Splitting is synchronous and blocks the daemon: a tenth of a second for this many. */
const MAX_CHARACTERS = 2 ** 18;
/** A character has at most three bytes in UTF-8; those outside the basic plane have four for two. */
const MAX_FILE_BYTES = 3 * MAX_CHARACTERS;
const DEFAULT_CAPACITY_TOKENS = 100;
const MAX_CAPACITY_TOKENS = 1_000_000;

const ChunksBody = Type.Object({
  id: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: "Id of an uploaded file." })),
  text: Type.Optional(Type.String({ maxLength: MAX_CHARACTERS, description: "The text itself, instead of a file." })),
  filename: Type.Optional(Type.String({ maxLength: 1000, description: "Repeated in the answer." })),
  chunk_capacity: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_CAPACITY_TOKENS,
      description: `Most tokens of a chunk; default ${DEFAULT_CAPACITY_TOKENS}.`,
    }),
  ),
  model: Type.Optional(
    Type.String({ minLength: 1, description: "Model whose tokens are counted. Default: the only embedding model." }),
  ),
});

/** `POST /v1/chunks`: splits a file or a text for retrieval. */
export function registerChunkRoutes(app: FastifyInstance, options: ChunkRoutesOptions): void {
  const config = { describe: { summary: "Split a text into chunks of a number of tokens" } };
  app.post("/v1/chunks", { config }, async (request) => {
    const { id, text, filename, chunk_capacity: capacity, model } = checkedBody(ChunksBody, request.body);
    const whole = text ?? (await textOf(id, request, options));
    const units = unitsOf(whole);
    const tokens = units.length === 0 ? [] : await tokensOf(units, model, request, options);
    return {
      ...(id === undefined ? {} : { id }),
      filename: filename ?? null,
      chunks: chunksOf(units, tokens, capacity ?? DEFAULT_CAPACITY_TOKENS),
    };
  });
}

async function textOf(
  id: string | undefined,
  request: FastifyRequest,
  { fileText }: ChunkRoutesOptions,
): Promise<string> {
  if (id === undefined)
    throw new AssistantError("invalid_request", "`id` is missing: expected the id of a file, or `text`.", {
      param: "id",
    });
  const text = await fileText(request.identity.caller.tenant, id, MAX_FILE_BYTES);
  if (text === null)
    throw new AssistantError("invalid_request", `There is no text file with the id ${JSON.stringify(id)}.`, {
      param: "id",
      remedy: "Send the text itself as `text`.",
    });
  if (text.length > MAX_CHARACTERS)
    throw new AssistantError(
      "invalid_request",
      `The file has ${text.length} characters; at most ${MAX_CHARACTERS} are allowed.`,
      { param: "id" },
    );
  return text;
}

/** Tokens of each unit, counted with the model's own vocabulary, in one request to it. */
async function tokensOf(
  units: readonly Unit[],
  wanted: string | undefined,
  request: FastifyRequest,
  { directory, inference, authorizer, onlyModels }: ChunkRoutesOptions,
): Promise<readonly number[]> {
  const { caller } = request.identity;
  const embedding = modelsFor(caller, directory).filter(
    ({ kind, nodes, command }) => modelKinds[kind].tokenizes && !modelKinds[kind].generates && !nodes && !command,
  );
  const [only] = embedding;
  const model = wanted ?? (only !== undefined && embedding.length === 1 ? only.name : "");
  using cancellation = cancellationOf(request.raw.socket);
  const ended = authorizer.admit(request.identity);
  try {
    const call = { caller, route: "/v1/chunks", cancellation, selector: { model, among: onlyModels } };
    const texts = units.map(({ text }) => text);
    return await countTokens(inference, texts, { ...call, ...callHeaders(request.headers, false) });
  } finally {
    ended?.();
  }
}
