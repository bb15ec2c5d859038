import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { AssistantError, presentable } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { requireModel } from "../../../inference/resolve.ts";
import { refuseContentEncoding } from "../../front/content-encoding.ts";
import { LINES } from "./answers.ts";
import { digestOf, fileOf, settingsOf } from "./create.ts";
import { errorBody } from "./error.ts";
import { flagOf, textOf } from "./fields.ts";
import { bodyOf, nameOf, requireNamed } from "./named.ts";
import { findModel, ownName, storeName } from "./names.ts";
import type { OllamaOptions } from "./ports.ts";
import { isOnlyHere, pullOrderOf, pullProgress } from "./pull.ts";

/** For keys with the scope `admin`; if there are no keys, for programs of this machine, as Ollama's users expect. */
const admin = { config: { scope: "admin", announced: true, openOnLoopback: true } } as const;

/** Pulls, creates, copies and deletes models. */
export function registerChanges(app: FastifyInstance, options: OllamaOptions): void {
  const { pulls, orderOf, library, directory } = options;
  app.post("/api/push", admin, async () => {
    throw new AssistantError("not_implemented", "Pushing models is not supported.", {
      remedy: "`assistant export NAME` copies the files of a model.",
    });
  });
  if (pulls === null || library === null) return;

  app.post("/api/pull", admin, async (request, reply) => {
    const body = bodyOf(request);
    const name = nameOf(body);
    const order = await pullOrderOf(name, orderOf);
    const steps = (await isOnlyHere(name, order, options)) ? nothingToPull() : pullProgress(pulls, order);
    return await sendProgress(reply, flagOf(body, "stream", true), steps);
  });
  app.post("/api/create", admin, async (request, reply) => {
    const body = bodyOf(request);
    const name = nameOf(body);
    const from = textOf(body, "from");
    const sha256 = fileOf(body);
    const settings = settingsOf(body);
    const standing = directory.find(ownName(name));
    if (standing !== undefined) requireModel(request.identity.caller, standing);
    if (sha256 === null && from === "")
      throw new AssistantError("invalid_request", 'Neither "from" nor "files" says what to make the model of.', {
        param: "from",
      });
    const steps = async function* (): AsyncGenerator<JsonObject> {
      if (sha256 !== null) {
        yield { status: "parsing GGUF" };
        await library.create(storeName(name), sha256, settings);
        return;
      }
      // Nothing is downloaded for a name that is not available.
      await library.replaceable(ownName(name), storeName(name));
      if (findModel(directory, from) === undefined) yield* pullProgress(pulls, await pullOrderOf(from, orderOf));
      yield { status: "writing manifest" };
      await library.derive(requireNamed(request, options, from), ownName(name), storeName(name), settings);
    };
    return await sendProgress(reply, flagOf(body, "stream", true), steps());
  });
  app.post("/api/copy", admin, async (request, reply) => {
    const body = bodyOf(request);
    const destination = textOf(body, "destination");
    if (destination === "")
      throw new AssistantError("invalid_request", 'The field "destination" is missing.', { param: "destination" });
    const source = requireNamed(request, options, textOf(body, "source"));
    await library.derive(source, ownName(destination), storeName(destination), null);
    return await reply.code(200).send();
  });
  app.delete("/api/delete", admin, async (request, reply) => {
    await library.remove(requireNamed(request, options));
    return await reply.code(200).send();
  });
  app.head("/api/blobs/:digest", admin, async (request, reply) => {
    const found = await library.uploads.find(digestIn(request));
    return await reply.code(found === null ? 404 : 200).send();
  });
  // Files have no size limit: they are written to disk as they arrive.
  void app.register(async (scoped) => {
    scoped.removeAllContentTypeParsers();
    scoped.addContentTypeParser("*", (_, content, done) => done(null, content));
    scoped.post("/api/blobs/:digest", admin, async (request, reply) => {
      refuseContentEncoding(request.headers);
      const sha256 = digestIn(request);
      if ((await library.uploads.find(sha256)) !== null) return await reply.code(200).send();
      const length = Number(request.headers["content-length"]);
      await library.uploads.receive(
        sha256,
        (request.body ?? null) as Readable | null,
        Number.isFinite(length) ? length : null,
      );
      return await reply.code(201).send();
    });
  });
}

const digestIn = ({ params }: FastifyRequest): string =>
  digestOf((params as { readonly digest: string }).digest, "digest");

/** One line per step, or for a request without a stream only the end. Failures after the first line are lines too. */
async function sendProgress(
  reply: FastifyReply,
  streamed: boolean,
  steps: AsyncIterable<JsonObject>,
): Promise<FastifyReply> {
  if (streamed) return await reply.type(LINES).send(Readable.from(linesOf(steps)));
  for await (const _ of steps);
  return await reply.send(SUCCESS);
}

async function* nothingToPull(): AsyncGenerator<JsonObject> {
  yield { status: "pulling manifest" };
}

const SUCCESS = { status: "success" } as const;

async function* linesOf(steps: AsyncIterable<JsonObject>): AsyncGenerator<string> {
  try {
    for await (const step of steps) yield `${JSON.stringify(step)}\n`;
    yield `${JSON.stringify(SUCCESS)}\n`;
  } catch (error) {
    yield `${JSON.stringify(errorBody(presentable(error)))}\n`;
  }
}
