import { setTimeout as sleep } from "node:timers/promises";
import { isAssistantError } from "../../core/errors.ts";
import { HttpFailure, inWords } from "./http-failure.ts";
import { type Answer, type HttpAccess, type HttpSession, httpSession } from "./http-session.ts";
import { canDivide, inPieces } from "./pieces.ts";
import type { Delivery, Expected, PullOptions, Source } from "./types.ts";

// A resumed transfer may break again; without any progress it is abandoned after this many attempts.
const FRUITLESS_ATTEMPTS = 3;

/** A plain address. */
export function urlSource(url: URL, options: PullOptions): Source & Required<Pick<Source, "peek">> {
  return httpSource(url.host, url, { allowPrivate: options.allowPrivate ?? false, bearer: null });
}

/**
 * A file over HTTP. The transfer is implemented with undici instead of node-llama-cpp's downloader (ipull): that one
 * loads the whole library (0.4 s), has no timeout for the connection or for silence, preallocates and writes in
 * parallel chunks with its own state file, and has no hook for addresses, redirects, or a digest before the rename.
 */
export function httpSource(label: string, url: URL, access: HttpAccess): Source & Required<Pick<Source, "peek">> {
  return {
    label,
    async peek(bytes, context) {
      await using session = httpSession(context, access);
      try {
        const answer = await session.get(url, { range: `bytes=0-${bytes - 1}` });
        if (answer.status !== 200 && answer.status !== 206) throw new HttpFailure(answer.status, null);
        const totalBytes = answer.status === 206 ? answer.rangeTotal : answer.length;
        return { head: await headOf(answer.body, bytes), totalBytes: totalBytes ?? answer.told.bytes };
      } catch (error) {
        context.signal.throwIfAborted();
        throw inWords(error, url, context.timing);
      }
    },
    async deliver(delivery) {
      const { into, signal, timing, report } = delivery;
      await using session = httpSession(delivery, access);
      await into.begin(url.href, signal, (bytes) => report("verify", bytes, delivery.expected.bytes));
      let fruitless = 0;
      let answered = into.bytes > 0;
      for (;;) {
        const before = into.bytes;
        try {
          const answer = await session.get(url, rangeHeaders(delivery));
          answered ||= answer.status < 300;
          return await receive(answer, url, session, delivery);
        } catch (error) {
          signal.throwIfAborted();
          if (into.bytes > before) fruitless = 0;
          if (!answered || !isBroken(error, into.bytes > 0) || ++fruitless >= FRUITLESS_ATTEMPTS)
            throw inWords(error, url, timing);
          await sleep(timing.retryMs * 2 ** (fruitless - 1), undefined, { signal });
        }
      }
    },
  };
}

/** At most `bytes` bytes: a server may not know ranges. */
async function headOf(body: AsyncIterable<Buffer>, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= bytes) break;
  }
  return Buffer.concat(chunks).subarray(0, bytes);
}

/**
 * Whether another attempt may resume where this one broke. A wrong response stays wrong, a full disk stays full, and a
 * source that never sent a byte is not tried again.
 */
function isBroken(error: unknown, hasBytes: boolean): boolean {
  if (isAssistantError(error)) return false;
  if (error instanceof HttpFailure) return error.status >= 500 || error.status === 429;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (!hasBytes && code === "UND_ERR_BODY_TIMEOUT") return false;
  return !["ENOSPC", "EACCES", "EROFS", "EIO", "EDQUOT"].includes(code);
}

/** Kept free while a server that states no length is sending: it might never stop. */
const ROOM_LEFT_BYTES = 2 ** 30;
const CHECK_EVERY_BYTES = 16 * 2 ** 20;

/** Writes one answer's bytes: from where the partial file ends, to the end. */
async function receive(answer: Answer, url: URL, session: HttpSession, delivery: Delivery): Promise<Expected> {
  const { into, expected, report } = delivery;
  try {
    const start = await placeOf(answer, url, delivery);
    if (start === "complete") return answer.told;
    const total = answer.length === null ? null : start + answer.length;
    if (expected.bytes !== null && total !== null && total !== expected.bytes) {
      throw new HttpFailure(answer.status, `the file there has ${total} bytes, expected ${expected.bytes}`);
    }
    const bytes = total ?? expected.bytes;
    if (bytes !== null) await delivery.needRoom(bytes - start);
    let checkedBytes = start;
    let highest = 0;
    const told = (ahead: number): void => {
      highest = Math.max(highest, into.bytes + ahead);
      report("download", highest, bytes);
    };
    const body = bytesOf(answer, url, { start, total, told }, session, delivery);
    for await (const chunk of body) {
      await into.append(chunk);
      if (bytes === null && into.bytes - checkedBytes >= CHECK_EVERY_BYTES) {
        await delivery.needRoom(ROOM_LEFT_BYTES);
        checkedBytes = into.bytes;
      }
      if (expected.bytes !== null && into.bytes > expected.bytes)
        throw new HttpFailure(answer.status, `it sent more than the ${expected.bytes} bytes expected`);
      told(0);
    }
    if (total !== null && into.bytes !== total)
      throw new Error(`the transfer ended at ${into.bytes} of ${total} bytes`);
    return answer.told;
  } finally {
    answer.body.destroy();
  }
}

/** The body, or the same bytes over several connections. */
function bytesOf(
  answer: Answer,
  url: URL,
  { start, total, told }: { readonly start: number; readonly total: number | null; told(ahead: number): void },
  session: HttpSession,
  { into, pieces }: Delivery,
): AsyncIterable<Uint8Array> {
  if (total === null || !canDivide(answer, total - start, pieces)) return answer.body;
  into.continued = true;
  return inPieces({
    answer,
    start,
    total,
    limits: pieces,
    ask: (from, to, signal) =>
      session.get(
        answer.url,
        { range: `bytes=${from}-${to - 1}`, "if-range": answer.validator ?? "" },
        { begunAt: url, signal },
      ),
    onAhead: told,
  });
}

function rangeHeaders({ into, expected }: Delivery): Record<string, string> {
  const { bytes, validator } = into;
  // Without a validator, only a known digest can prove that old and new bytes belong together.
  if (bytes === 0 || (validator === null && expected.sha256 === null)) return {};
  return { range: `bytes=${bytes}-`, ...(validator === null ? {} : { "if-range": validator }) };
}

/** The offset at which the response's bytes are written; the partial file is truncated or extended to it. */
async function placeOf(answer: Answer, url: URL, { into }: Delivery): Promise<number | "complete"> {
  if (answer.status === 206) {
    if (answer.rangeStart !== into.bytes)
      throw new HttpFailure(206, `expected the bytes from ${into.bytes}, received those from ${answer.rangeStart}`);
    into.continued ||= into.bytes > 0;
    return into.bytes;
  }
  if (answer.status === 416) {
    if (into.bytes > 0 && answer.rangeTotal === into.bytes) return "complete";
    // What is here is longer than what is there: the source changed.
    await into.restart(url.href);
    throw new Error("the source has changed since the download began");
  }
  if (answer.status !== 200) throw new HttpFailure(answer.status, null);
  await into.restart(url.href, answer.validator);
  return 0;
}
