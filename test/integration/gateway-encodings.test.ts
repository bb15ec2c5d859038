import { request } from "node:http";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ErrorBody } from "../../src/api/status.ts";
import { chatBody, type TestGateway, testGateway } from "../support/gateway.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await testGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
});
afterAll(() => gateway[Symbol.asyncDispose]());

function post(
  encoding: string,
  body: Buffer,
  path = "/v1/chat/completions",
): Promise<{ status: number; error: ErrorBody["error"] | undefined }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-encoding": encoding, "content-length": body.length };
    const outgoing = request(
      { host: "127.0.0.1", port: gateway.port, method: "POST", path, headers, agent: false },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            error: (JSON.parse(Buffer.concat(parts).toString()) as ErrorBody).error,
          }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const plain = Buffer.from(JSON.stringify(chatBody()));

test.each<[string, (bytes: Buffer) => Buffer]>([
  ["gzip", gzipSync],
  ["GZIP", gzipSync],
  ["x-gzip", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
  ["zstd", zstdCompressSync],
  ["identity", (bytes) => bytes],
])("a body in %s reaches the engine as it was meant", async (encoding, encode) => {
  expect(await post(encoding, encode(plain))).toMatchObject({ status: 200 });
  expect(gateway.upstream.requests.at(-1)?.body).toBe(plain.toString());
});

test.each([gzipSync, deflateSync, brotliCompressSync, zstdCompressSync])(
  "a small body that stands for a large one is too large",
  async (encode) => {
    const bomb = encode(Buffer.alloc(64 * 2 ** 20, 32));
    expect(bomb.length).toBeLessThan(gateway.settings.bodyLimitBytes);
    const encoding = ["gzip", "deflate", "br", "zstd"][
      [gzipSync, deflateSync, brotliCompressSync, zstdCompressSync].indexOf(encode)
    ] as string;
    expect(await post(encoding, bomb)).toMatchObject({ status: 413, error: { code: "body_too_large" } });
  },
);

test.each(["compress", "gzip, gzip", "aes128gcm"])("the encoding %s is refused", async (encoding) => {
  expect(await post(encoding, plain)).toMatchObject({
    status: 415,
    error: { code: "unsupported_media_type", param: "content-encoding" },
  });
});

test("bytes that are encoded otherwise than they say are refused", async () => {
  expect(await post("gzip", plain)).toMatchObject({
    status: 400,
    error: { code: "invalid_request", param: "content-encoding" },
  });
  expect(await post("gzip", gzipSync(plain).subarray(0, 20))).toMatchObject({
    status: 400,
    error: { param: "content-encoding" },
  });
});
