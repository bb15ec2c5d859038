import { gunzipSync } from "node:zlib";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { compressed, takesGzip } from "../../../src/gateway/front/compress.ts";

const app = Fastify();
app.addHook("onSend", compressed);
const text = "a".repeat(2_000);
app.get("/large", () => ({ text }));
app.get("/small", () => ({ text: "a" }));
app.get("/events", (_, reply) => reply.type("text/event-stream").send(text));
app.get("/image", (_, reply) => reply.type("image/png").send(Buffer.alloc(2_000)));

const ask = (url: string, accepted: string | null) =>
  app.inject({ url, headers: accepted === null ? {} : { "accept-encoding": accepted } });

test("a large answer is compressed for those who take that", async () => {
  const { headers, rawPayload } = await ask("/large", "br, gzip;q=0.8");
  expect(headers).toMatchObject({ "content-encoding": "gzip", vary: "Accept-Encoding" });
  expect(headers["content-length"]).toBe(String(rawPayload.length));
  expect(JSON.parse(gunzipSync(rawPayload).toString())).toEqual({ text });
});

test.each([
  ["/large", null],
  ["/large", "br"],
  ["/small", "gzip"],
  ["/events", "gzip"],
  ["/image", "gzip"],
])("%s is sent as it is to a client that takes %s", async (url, accepted) => {
  expect((await ask(url, accepted)).headers["content-encoding"]).toBeUndefined();
});

test.each([
  ["gzip", true],
  ["*", true],
  ["deflate, gzip;q=1.0", true],
  ["gzip;q=0", false],
  ["gzip;q=0.0", false],
  ["x-gzipped", false],
  [undefined, false],
])("%s takes gzip: %s", (accepted, expected) => {
  expect(takesGzip(accepted)).toBe(expected);
});
