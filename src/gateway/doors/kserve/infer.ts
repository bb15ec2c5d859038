import type { IncomingHttpHeaders } from "node:http";
import type { DecodedBody } from "../../front/door.ts";
import { type AnswerTranslator, RawAnswer, translatedSink } from "../../front/translated-sink.ts";
import { decodeInfer } from "./decode.ts";
import { handlerCall, isHandler } from "./handler.ts";
import type { KserveModels } from "./models.ts";
import { inferHeadOf, inferRequestOf, type Named, withoutCapability } from "./request.ts";
import { inferJson } from "./wire.ts";

export const EVENT_STREAM = "text/event-stream; charset=utf-8";
export const eventOf = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
const jsonOnly = (): boolean => false;

/** `infer`, or with `streams` the same as events: for a handler its own tensors, for a model text and settings. */
export function decodeInference(
  models: KserveModels,
  bytes: Buffer,
  headers: IncomingHttpHeaders,
  named: Named | null,
  streams: boolean,
): DecodedBody {
  const head = inferHeadOf(bytes, headers);
  const { json, length } = head;
  const { model_name: name, model_version: version, parameters } = json;
  const asked = named ?? {
    model: typeof name === "string" ? name : "",
    version: typeof version === "string" ? version : "",
  };
  const { capabilities } = withoutCapability(isRecord(parameters) ? parameters : {});
  const target = models.target({ ...asked, ...(capabilities === undefined ? {} : { capabilities }) }, headers);
  if (isHandler(target.spec))
    return handlerCall(target, { bytes, json, ...(length < bytes.length ? { headBytes: length } : {}) }, streams);
  const { request, isBinary } = inferRequestOf(bytes, head, asked);
  const { call, answer } = decodeInfer(request, target.spec, streams);
  const translator: AnswerTranslator = {
    streamType: EVENT_STREAM,
    chunk: (chunk) => {
      const response = answer.chunk(chunk);
      return response === null ? "" : eventOf(inferJson(response, jsonOnly));
    },
    end: () => eventOf(inferJson(answer.end(), jsonOnly)),
    whole: (whole) => {
      if (!streams) return inferJson(answer.whole(whole), isBinary);
      // An answer that is not streamed becomes a stream of one event.
      return new RawAnswer(Buffer.from(eventOf(inferJson(answer.whole(whole), jsonOnly))), [
        "Content-Type",
        EVENT_STREAM,
      ]);
    },
  };
  return { ...call, translate: (client) => translatedSink(client, call.streamed, translator) };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
