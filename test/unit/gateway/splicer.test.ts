import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AnswerSink, JsonObject } from "../../../src/core/inference.ts";
import { MessageTranslator } from "../../../src/gateway/doors/anthropic/answer.ts";
import { translate } from "../../../src/gateway/doors/anthropic/request.ts";
import { ResponseAnswer } from "../../../src/gateway/doors/openai/responses/answer.ts";
import { newResponseId } from "../../../src/gateway/doors/openai/responses/ids.ts";
import { eventText } from "../../../src/gateway/doors/openai/responses/sink.ts";
import { Splicer } from "../../../src/gateway/front/splicer.ts";
import { type AnswerTranslator, translatedSink } from "../../../src/gateway/front/translated-sink.ts";

/** What a client gets of a stream that arrives in these pieces. */
function received(translator: AnswerTranslator, pieces: readonly Buffer[]): string {
  const parts: Buffer[] = [];
  let failure = "";
  const client = {
    takesFramed: false,
    status: 200,
    head: () => {},
    chunk: (bytes: Buffer) => parts.push(bytes) > 0,
    end: (last?: Buffer) => void parts.push(last ?? Buffer.alloc(0)),
    fail: (error: Error) => {
      failure = `! ${error.message}`;
    },
  } as unknown as AnswerSink;
  const sink = translatedSink(client, true, translator);
  for (const piece of pieces) sink.chunk(piece);
  sink.end();
  return Buffer.concat(parts).toString() + failure;
}

/** The same translator, by which every chunk is parsed. */
const parsing = ({ likewise: _, ...translator }: Required<Pick<AnswerTranslator, "likewise">> & AnswerTranslator) =>
  translator as AnswerTranslator;

type Made = AnswerTranslator & Required<Pick<AnswerTranslator, "likewise">>;

const message = (fields: object = {}): Made => {
  const asked = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Hi" }], ...fields };
  const made = new MessageTranslator(translate(asked));
  return {
    streamType: made.streamType,
    chunk: (chunk) => made.chunk(chunk),
    likewise: (chunk) => made.likewise(chunk),
    end: () => made.end(),
    whole: (answer) => made.whole(answer),
  };
};

const id = newResponseId();
function response(): { readonly translator: Made; readonly answer: ResponseAnswer } {
  const events: string[] = [];
  const taken = (): string => events.splice(0).join("");
  const answer = new ResponseAnswer({
    ...{ id, createdAt: 1, model: "m", repeated: {}, summarizes: false, inputItems: 1 },
    onEvent: (event) => events.push(eventText(event)),
  });
  const translator: Made = {
    streamType: "text/event-stream",
    chunk(chunk) {
      answer.chunk(chunk);
      return taken();
    },
    likewise: (chunk) => answer.likewise(chunk),
    end() {
      answer.finish();
      return taken();
    },
    whole: (whole) => whole,
  };
  return { translator, answer };
}

const chunkOf = (delta: object, more: object = {}, choice: object = {}): JsonObject => ({
  choices: [{ finish_reason: null, index: 0, delta, ...choice }],
  created: 1,
  id: "chatcmpl-1",
  model: "m",
  object: "chat.completion.chunk",
  ...more,
});
const event = (chunk: JsonObject): string => `data: ${JSON.stringify(chunk)}\n\n`;

const words = fc.oneof(
  fc.constantFrom(
    "a",
    "b",
    "",
    "content",
    '"content":"a"',
    '"}}],"created":1',
    "\n",
    '\\"',
    "\\u0041",
    "data: ",
    "\n\n",
    "\u2028",
  ),
  fc.string({ unit: "binary", maxLength: 6 }),
);
const escaped = (text: string): string =>
  Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
/** Most are plain text, as of an engine; the others are what may come between them. */
const events = fc.oneof(
  { weight: 12, arbitrary: words.map((content) => event(chunkOf({ content }))) },
  { weight: 2, arbitrary: words.map((content) => event(chunkOf({ content }, { created: 2, id: "chatcmpl-2" }))) },
  words.map((content) => event(chunkOf({ role: "assistant", content }))),
  words.map((content) => event(chunkOf({ content, reasoning_content: "hm" }))),
  words.map((content) => event(chunkOf({ reasoning_content: content }))),
  words.map((content) => event(chunkOf({ content }, {}, { logprobs: { content: [{ token: content }] } }))),
  words.map((content) => event(chunkOf({ content }, {}, { finish_reason: "length" }))),
  words.map((content) => event(chunkOf({ content }, { usage: { prompt_tokens: 3, completion_tokens: 4 } }))),
  words.map((content) => event(chunkOf({ content }, { content, delta: { content } }))),
  words.map((content) => `data: ${JSON.stringify(chunkOf({ content })).replaceAll('":', '": ')}\n\n`),
  words.map((content) => event(chunkOf({ content })).replaceAll("a", "\\u0061")),
  // Escaped in ways of other programs.
  words.map((content) => event(chunkOf({ content: "@" })).replace("@", () => escaped(content))),
  words.map((content) => event(chunkOf({ content: `${content}/@` })).replace("/@", () => "\\/")),
  words.map((content) => event(chunkOf({ content })).replaceAll("\n", "\r\n")),
  words.map((content) => event(chunkOf({ content })).replace("data: ", "data:")),
  words.map((content) => event(chunkOf({ content })).replace(',"created', '\ndata: ,"created')),
  words.map((content) => `event: x\nid: 7\n${event(chunkOf({ content }))}`),
  words.map((content) =>
    event(chunkOf({ tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: content } }] })),
  ),
  fc.constantFrom(": comment\n\n", "\n\n", event({ choices: [] }), "data: [DONE]\n\n"),
  fc.constant(event(chunkOf({}, { prompt_progress: { total: 9, cache: 1 } }))),
);
const streams = fc.tuple(
  fc.array(events, { maxLength: 30 }),
  fc.array(fc.nat(), { maxLength: 30 }),
  fc.option(fc.constant(event({ error: { code: 500, message: "broken" } })), { freq: 8 }),
);

/** The stream in pieces that end at any byte, or between events. */
function piecesOf([texts, cuts, failure]: readonly [readonly string[], readonly number[], string | null]): Buffer[] {
  const whole = failure === null ? texts : [...texts, failure, ...texts.slice(0, 2)];
  const bytes = Buffer.from(whole.join(""));
  let end = 0;
  const ends = whole.map((text) => (end += Buffer.byteLength(text)));
  const borders = [...ends.filter((_, index) => index % 3 !== 0), ...cuts.map((cut) => cut % (bytes.length + 1))];
  const sorted = [0, ...borders.sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((border, index) => bytes.subarray(sorted[index], border));
}

describe("chunks that are copied", () => {
  it("become the same message as chunks that are parsed", () => {
    fc.assert(
      fc.property(
        streams,
        fc.constantFrom(
          {},
          {
            messages: [
              { role: "user", content: "Hi" },
              { role: "assistant", content: "ab" },
            ],
          },
        ),
        (stream, fields) => {
          const pieces = piecesOf(stream);
          expect(received(message(fields), pieces)).toBe(received(parsing(message(fields)), pieces));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("become the same response, and the same record of it", () => {
    fc.assert(
      fc.property(streams, (stream) => {
        const pieces = piecesOf(stream);
        const copied = response();
        const parsed = response();
        expect(received(copied.translator, pieces)).toBe(received(parsing(parsed.translator), pieces));
        const timeless = ({ answer }: typeof copied) => ({ ...answer.response, completed_at: 0 });
        expect(timeless(copied)).toEqual(timeless(parsed));
      }),
      { numRuns: 300 },
    );
  });

  it("are nearly all of an answer's", () => {
    const translator = message();
    let parsed = 0;
    const counting = {
      ...translator,
      chunk: (chunk: JsonObject) => {
        parsed += 1;
        return translator.chunk(chunk);
      },
    };
    const texts = Array.from({ length: 100 }, (_, index) => event(chunkOf({ content: ` "${index}"\n` })));
    const stream = [
      event(chunkOf({ role: "assistant", content: null })),
      ...texts,
      event(chunkOf({}, {}, { finish_reason: "stop" })),
    ];
    const text = received(
      counting,
      stream.map((one) => Buffer.from(one)),
    );
    expect(text.match(/text_delta/g)).toHaveLength(100);
    expect(parsed).toBe(3);
  });

  it("are not looked for where a target writes each chunk otherwise", () => {
    const splicer = new Splicer();
    const frame = { before: () => Buffer.from("<"), after: Buffer.from(">") };
    const learn = (number: number): Buffer => {
      const data = JSON.stringify(chunkOf({ content: "x" }, { number }));
      splicer.learn(data, JSON.parse(data), frame);
      return Buffer.from(`data: ${data}\n\n`);
    };
    for (const number of [1, 2, 3]) learn(number);
    expect(splicer.splice(learn(4))?.toString()).toBe("<x>");
    for (const number of [5, 6, 7, 8]) learn(number);
    expect(splicer.splice(learn(9))).toBeNull();
  });
});
