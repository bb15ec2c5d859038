import { expect, test } from "vitest";
import { parseHead } from "../../../src/upstreams/unix/head.ts";

const parse = (text: string): ReturnType<typeof parseHead> => parseHead(Buffer.from(text, "latin1"));

test("status, type and framing are read whatever the case of the names", () => {
  expect(parse("HTTP/1.1 200 OK\r\nCONTENT-TYPE:text/event-stream\r\ntransfer-encoding:  Chunked\r\n\r\n5")).toEqual({
    head: { status: 200, contentType: "text/event-stream", framing: { type: "chunked" }, keepsOpen: true },
    bodyStart: 80,
  });
});

test("chunks win over a length, and without either the end of the connection is the end", () => {
  const framing = (headers: string): unknown => parse(`HTTP/1.1 200 OK\r\n${headers}\r\n`)?.head.framing;
  expect(framing("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")).toEqual({ type: "chunked" });
  expect(framing("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")).toEqual({ type: "chunked" });
  expect(framing("Content-Length: 5\r\n")).toEqual({ type: "length", bytes: 5 });
  expect(framing("X: y\r\n")).toEqual({ type: "until-close" });
});

test("interim answers are passed over", () => {
  expect(parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")?.head.status).toBe(200);
});

test("a connection stays open only where the engine says nothing else", () => {
  expect(parse("HTTP/1.1 200 OK\r\n\r\n")?.head.keepsOpen).toBe(true);
  expect(parse("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?.head.keepsOpen).toBe(false);
  expect(parse("HTTP/1.0 200 OK\r\n\r\n")?.head.keepsOpen).toBe(false);
});

test.each(["", "H", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"])("%j is incomplete", (text) => {
  expect(parse(text)).toBeNull();
});

test.each([
  "SSH-2.0",
  "HTTP/2 200\r\n\r\n",
  "HTTP/1.1 20 OK\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
  `HTTP/1.1 200 OK\r\nX: ${"y".repeat(70_000)}`,
])("%.40j is refused", (text) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code: "engine_error" }));
});
