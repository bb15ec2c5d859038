import { HttpFailure } from "./http-failure.ts";
import type { Answer } from "./http-session.ts";
import type { PieceLimits } from "./types.ts";

export interface PieceTransfer {
  /** The response to a request for everything from `start` on. Its beginning is the first piece. */
  readonly answer: Answer;
  readonly start: number;
  readonly total: number;
  readonly limits: PieceLimits;
  /** Asks for the bytes from `from` to `to`, the last one not included. */
  ask(from: number, to: number, signal: AbortSignal): Promise<Answer>;
  /** Called with the bytes that have arrived before their turn. */
  onAhead(bytes: number): void;
}

/** Whether a transfer is worth several connections, and the server gives parts of this very version of the file. */
export const canDivide = ({ acceptsRanges, validator }: Answer, bytesToCome: number, limits: PieceLimits): boolean =>
  acceptsRanges && validator !== null && bytesToCome >= limits.minBytes;

/** The bytes in order. Ending the iteration ends all requests. */
export async function* inPieces(transfer: PieceTransfer): AsyncGenerator<Buffer> {
  const { answer, start, total, limits, ask, onAhead } = transfer;
  const { pieceBytes, connections } = limits;
  const ended = new AbortController();
  const waiting: Promise<Buffer>[] = [];
  let next = Math.min(total, start + pieceBytes);
  let ahead = 0;
  const order = (): void => {
    // The one that is being read counts too.
    while (next < total && waiting.length < connections - 1) {
      const [from, to] = [next, Math.min(total, next + pieceBytes)];
      const piece = read(ask(from, to, ended.signal), from, to, (bytes) => {
        ahead += bytes;
        onAhead(ahead);
      });
      // A failure is met when it is the piece's turn.
      piece.catch(() => {});
      waiting.push(piece);
      next = to;
    }
  };
  try {
    order();
    yield* beginning(
      answer,
      next === total && waiting.length === 0 ? total - start : Math.min(pieceBytes, total - start),
    );
    for (let piece = waiting.shift(); piece !== undefined; piece = waiting.shift()) {
      order();
      const bytes = await piece;
      ahead -= bytes.length;
      yield bytes;
    }
  } finally {
    ended.abort();
  }
}

async function* beginning({ body }: Answer, length: number): AsyncGenerator<Buffer> {
  let left = length;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    // Leaving the loop closes the connection: the rest comes over others.
    if (left <= 0) return;
  }
  throw new Error(`the transfer ended ${left} bytes too early`);
}

async function read(
  asked: Promise<Answer>,
  from: number,
  to: number,
  arrived: (bytes: number) => void,
): Promise<Buffer> {
  const { status, rangeStart, body } = await asked;
  try {
    if (status === 200) throw new Error("the source has changed since the download began");
    if (status !== 206 || rangeStart !== from) throw new HttpFailure(status, null);
    const piece = Buffer.allocUnsafe(to - from);
    let filled = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (filled + chunk.length > piece.length)
        throw new HttpFailure(status, `it sent more than the requested bytes ${from} to ${to - 1}`);
      filled += chunk.copy(piece, filled);
      arrived(chunk.length);
    }
    if (filled < piece.length) throw new Error(`the transfer ended at ${from + filled} instead of ${to} bytes`);
    return piece;
  } finally {
    body.destroy();
  }
}
