import type { AssistantError } from "../../core/errors.ts";
import { brokenOff, malformed, timedOut } from "../http/failure.ts";
import type { AskedModel, Dialect, Fetch } from "./dialect.ts";
import { parsed } from "./refuse.ts";

/** No event of an answer is longer; a stream that never ends one must not fill the memory. */
const MAX_EVENT_BYTES = 16 * 2 ** 20;
/** Maximum length of an answer in one piece: ten times a full batch of the longest vectors. */
const MAX_WHOLE_BYTES = 64 * 2 ** 20;
/** Maximum length of the events of an answer that is sent on in one piece, each of which may have a single character. */
const MAX_STREAM_BYTES = 256 * 2 ** 20;
/** Maximum length kept of an error or an invalid answer. */
const MAX_ERROR_BYTES = 256 * 1024;
const MAX_STATUS = 599;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * A fetch that only returns answers of the requested type: the SDKs accept any answer with status 200, and read a web
 * page as a stream without events. It also aborts when nothing arrives for too long.
 */
export function guardedFetch(
  fetch: Fetch,
  dialect: Dialect,
  asked: AskedModel,
  expected: "JSON" | "an event stream",
  streamed: boolean,
): Fetch {
  const { provider } = asked;
  return async (input, init) => {
    const silence = new AbortController();
    const patient = async <T>(work: Promise<T>, limitMs: number): Promise<T> => {
      const timer = setTimeout(() => silence.abort(timedOut(provider)), limitMs);
      try {
        return await work;
      } finally {
        clearTimeout(timer);
      }
    };
    const signal = AbortSignal.any(init?.signal ? [init.signal, silence.signal] : [silence.signal]);
    const response = await patient(
      fetch(input, { ...init, signal }),
      provider.connectTimeoutMs + provider.silenceTimeoutMs,
    );
    if (response.status > MAX_STATUS) throw malformed(asked, `answered with status ${response.status}`);
    if (response.body === null) return response;
    const reader = response.body.getReader();
    const read = () =>
      patient(reader.read(), provider.silenceTimeoutMs).catch((error: unknown) => {
        throw signal.aborted ? error : brokenOff(provider, error);
      });
    const { headers, status } = response;
    const type = headers.get("content-type") ?? "";
    const isStream = /^text\/event-stream\b/i.test(type);
    if (!response.ok) return new Response(await textOf(read, reader), { status, headers });
    if (expected === "JSON" && /^application\/json\b/i.test(type))
      return new Response(pulled(read, reader, boundedWhole(asked)), { status, headers });
    if (expected !== "JSON" && isStream)
      return new Response(pulled(read, reader, boundedEvents(asked, streamed)), { headers });
    const text = await textOf(read, reader);
    // An error with a successful status gets the one it should have had.
    const should = dialect.statusOf(parsed(text));
    if (should !== null) return new Response(text, { status: should, headers });
    throw malformed(
      asked,
      `answered with the content type ${JSON.stringify(type.slice(0, 60))} instead of ${expected}`,
    );
  };
}

type Reader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
type Read = () => ReturnType<Reader["read"]>;

/** Reads only on demand, so that a slow client slows the provider down and does not count as silence. */
function pulled(
  read: Read,
  reader: Reader,
  check: (bytes: Uint8Array) => AssistantError | null,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await read();
        if (done) {
          controller.close();
          return;
        }
        const failure = check(value);
        if (failure === null) controller.enqueue(value);
        else throw failure;
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Detects an event longer than any real one, and too many for an answer in one piece. */
function boundedEvents(asked: AskedModel, streamed: boolean): (bytes: Uint8Array) => AssistantError | null {
  let left = streamed ? Number.POSITIVE_INFINITY : MAX_STREAM_BYTES;
  let size = 0;
  let isLineEmpty = false;
  return (bytes) => {
    left -= bytes.length;
    if (left < 0)
      return malformed(asked, `sent more than ${MAX_STREAM_BYTES / 2 ** 20} MiB for an answer in one piece`);
    for (const byte of bytes) {
      size += 1;
      if (byte === CARRIAGE_RETURN) continue;
      if (byte !== LINE_FEED) isLineEmpty = false;
      else if (isLineEmpty) size = 0;
      else isLineEmpty = true;
    }
    return size <= MAX_EVENT_BYTES
      ? null
      : malformed(asked, `sent an event of more than ${MAX_EVENT_BYTES / 2 ** 20} MiB`);
  };
}

function boundedWhole(asked: AskedModel): (bytes: Uint8Array) => AssistantError | null {
  let left = MAX_WHOLE_BYTES;
  return (bytes) => {
    left -= bytes.length;
    return left >= 0 ? null : malformed(asked, `sent an answer of more than ${MAX_WHOLE_BYTES / 2 ** 20} MiB`);
  };
}

/** Its beginning, where it is longer than any real one. */
async function textOf(read: Read, reader: Reader): Promise<string> {
  const pieces: Uint8Array[] = [];
  let left = MAX_ERROR_BYTES;
  for (let piece = await read(); !piece.done && left > 0; piece = await read()) {
    pieces.push(piece.value);
    left -= piece.value.length;
  }
  await reader.cancel();
  return Buffer.concat(pieces).toString("utf8");
}
