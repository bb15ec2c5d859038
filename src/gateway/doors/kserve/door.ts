import type { IncomingHttpHeaders } from "node:http";
import type { JsonObject } from "../../../core/inference.ts";
import type { DecodedBody, Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { parametersOf, type RequestTarget } from "../../front/target.ts";
import { type AnswerTranslator, RawAnswer, translatedSink } from "../../front/translated-sink.ts";
import { capabilityRoutes } from "./capability-routes.ts";
import { type DecodedInfer, decodeInfer } from "./decode.ts";
import { decodeInference, EVENT_STREAM, eventOf } from "./infer.ts";
import { registerMemoryRoutes } from "./memory-routes.ts";
import type { KserveModels } from "./models.ts";
import { described, errorSchema } from "./openapi.ts";
import { generateRequestOf, type Named, namedBy } from "./request.ts";
import { errorText, generateJson } from "./wire.ts";

/**
 * The Open Inference Protocol of KServe and Triton under `/v2`, with Triton's generate and model repository extensions.
 */
export const kserveDoor = (models: KserveModels): Door => ({
  ...bearerDoor,
  name: "kserve",
  describe: described,
  errorSchema,
  inference: [
    route("infer", (bytes, headers, named) => decodeInference(models, bytes, headers, named, false)),
    route("infer_stream", (bytes, headers, named) => decodeInference(models, bytes, headers, named, true)),
    route("generate", (bytes, headers, named) => {
      const { call, answer } = generate(models, bytes, headers, named, false);
      return translated(call, generateTranslator(answer));
    }),
    route("generate_stream", (bytes, headers, named) => {
      const { call, answer } = generate(models, bytes, headers, named, true);
      const translator = generateTranslator(answer);
      // An answer that is not streamed becomes a stream of one event.
      return translated(call, {
        ...translator,
        whole: (whole) =>
          new RawAnswer(Buffer.from(eventOf(generateJson(answer.whole(whole)))), ["Content-Type", EVENT_STREAM]),
      });
    }),
    ...capabilityRoutes(models),
  ],
  errorBody: (error) => ({ error: errorText(error) }),
  errorEvent: (error) => Buffer.from(eventOf({ error: errorText(error) })),
  register: (app) => registerMemoryRoutes(app, models),
});

const route = (
  verb: string,
  decode: (bytes: Buffer, headers: IncomingHttpHeaders, named: Named) => DecodedBody,
): InferenceRoute => {
  const path = `/v2/models/*/${verb}`;
  return {
    path,
    name: `/v2/models/{model}/${verb}`,
    // The operation depends on the model: `decode` determines it.
    operation: "completion",
    wire: "openai.completion",
    // Triton ignores content types, and its clients send none; pages of other origins are refused by the origin check.
    checkHeaders: () => {},
    decode: (bytes, headers, target: RequestTarget) =>
      decode(bytes, headers, namedBy(parametersOf(path, target)["*"] ?? "")),
  };
};

const generate = (
  models: KserveModels,
  bytes: Buffer,
  headers: IncomingHttpHeaders,
  named: Named,
  streams: boolean,
): DecodedInfer => {
  const request = generateRequestOf(bytes, named);
  return decodeInfer(request, models.asked(request, headers), streams);
};

const translated = (call: DecodedInfer["call"], translator: AnswerTranslator): DecodedBody => ({
  ...call,
  translate: (client) => translatedSink(client, call.streamed, translator),
});

const generateTranslator = (answer: DecodedInfer["answer"]): AnswerTranslator => ({
  streamType: EVENT_STREAM,
  chunk: (chunk: JsonObject) => {
    const response = answer.chunk(chunk);
    return response === null ? "" : eventOf(generateJson(response));
  },
  end: () => eventOf(generateJson(answer.end())),
  whole: (whole: JsonObject) => generateJson(answer.whole(whole)),
});
