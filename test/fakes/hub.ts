import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A file that the fake hub serves, and the faults it serves it with. */
export interface HubPath {
  readonly body?: Buffer;
  /** Answers this instead, once or for ever. */
  readonly status?: number;
  readonly redirectTo?: string;
  /** The connection is cut after so many bytes of each of the first answers. */
  readonly cutAfter?: readonly number[];
  /** After so many bytes nothing follows, and the connection stays open. */
  readonly stallAfter?: number;
  readonly etag?: string | null;
  /** Milliseconds between pieces of 16 KiB. */
  readonly pieceMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Says that it serves ranges, as most servers do. */
  readonly acceptRanges?: boolean;
}

export interface HubRequest {
  readonly path: string;
  readonly range: string | null;
  readonly ifRange: string | null;
  readonly authorization: string | null;
  readonly status: number;
}

/** A real HTTP server that speaks as much of the hub as pulls use, and misbehaves on demand. */
export interface Hub extends AsyncDisposable {
  readonly url: string;
  readonly requests: HubRequest[];
  /** Serves `path` from now on. */
  set(path: string, what: HubPath): void;
}

const PIECE_BYTES = 16 * 1024;

export async function startHub(): Promise<Hub> {
  const paths = new Map<string, HubPath>();
  const requests: HubRequest[] = [];
  const cuts = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? "").replace(/\?.*$/, ""));
    const what = paths.get(path) ?? { status: 404 };
    const count = cuts.get(path) ?? 0;
    cuts.set(path, count + 1);
    const status = answer(request, response, what, what.cutAfter?.[count] ?? null);
    requests.push({
      path,
      range: request.headers.range ?? null,
      ifRange: (request.headers["if-range"] as string | undefined) ?? null,
      authorization: request.headers.authorization ?? null,
      status,
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    set: (path, what) => {
      paths.set(path, what);
      cuts.delete(path);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, what: HubPath, cutAfter: number | null): number {
  if (what.redirectTo !== undefined) {
    response.writeHead(302, { location: what.redirectTo, ...what.headers }).end();
    return 302;
  }
  if (what.status !== undefined || what.body === undefined) {
    response.writeHead(what.status ?? 500).end();
    return what.status ?? 500;
  }
  const etag =
    what.etag === undefined ? `"${createHash("sha256").update(what.body).digest("hex").slice(0, 16)}"` : what.etag;
  const [start, stop = what.body.length] = rangeOf(request, etag);
  if (start > what.body.length - 1 && start > 0) {
    response.writeHead(416, { "content-range": `bytes */${what.body.length}` }).end();
    return 416;
  }
  const rest = what.body.subarray(start, stop);
  const partial = start > 0 || stop < what.body.length;
  const status = partial ? 206 : 200;
  response.writeHead(status, {
    "content-length": rest.length,
    ...(etag === null ? {} : { etag }),
    ...(what.acceptRanges === true ? { "accept-ranges": "bytes" } : {}),
    ...(partial ? { "content-range": `bytes ${start}-${start + rest.length - 1}/${what.body.length}` } : {}),
    ...what.headers,
  });
  void send(response, rest, what, cutAfter);
  return status;
}

/** Where the answer begins, and where it ends if that is asked for. */
function rangeOf(request: IncomingMessage, etag: string | null): [start: number, stop?: number] {
  const [, start, last] = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? "") ?? [];
  const condition = request.headers["if-range"];
  if (start === undefined || (condition !== undefined && condition !== etag)) return [0];
  return last === undefined ? [Number(start)] : [Number(start), Number(last) + 1];
}

async function send(response: ServerResponse, body: Buffer, what: HubPath, cutAfter: number | null): Promise<void> {
  const stop = cutAfter ?? what.stallAfter ?? body.length;
  for (let sent = 0; sent < stop && !response.destroyed; sent += PIECE_BYTES) {
    const piece = body.subarray(sent, Math.min(sent + PIECE_BYTES, stop));
    await new Promise<void>((resolve) => response.write(piece, () => resolve()));
    if (what.pieceMs !== undefined) await new Promise((resolve) => setTimeout(resolve, what.pieceMs));
  }
  if (cutAfter !== null) response.destroy();
  else if (what.stallAfter === undefined) response.end();
}
