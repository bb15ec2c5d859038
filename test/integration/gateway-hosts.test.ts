import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type TestGateway, testGateway } from "../support/gateway.ts";
import { rawClient } from "../support/raw-http.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await testGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
});
afterAll(() => gateway[Symbol.asyncDispose]());
beforeEach(() => {
  gateway.settings.apiKeys = [];
});

async function ask(...lines: readonly string[]): Promise<{ status: number; code: string | undefined }> {
  const client = await rawClient(gateway.port);
  client.send([...lines, "Connection: close", "", ""].join("\r\n"));
  const answer = await client.untilClosed();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]), code: /"code":"(\w+)"/.exec(answer)?.[1] };
}

const models = "GET /v1/models HTTP/1.1";

test.each([
  ...["localhost", "LOCALHOST:8080", "chat.localhost", "127.0.0.1", "[::1]:8080", "[::1]", "127.0.0.1:"],
  ...["host.docker.internal:8080", "host.containers.internal"],
])("the host %s is this machine", async (host) => {
  expect(await ask(models, `Host: ${host}`)).toMatchObject({ status: 200 });
});

test.each([
  "evil.com",
  "evil.internal",
  "host.docker.internal.evil.com",
  "evil.com#.localhost",
  "evil.com/.localhost",
  "evil.com?.localhost",
  "evil.com\\.localhost",
  "evil.com@localhost",
  "localhost@evil.com",
  "evil.com%23.localhost",
  "evil.com:80.localhost",
  "evil.com,localhost",
  "evil.com .localhost",
  "[::1].localhost.evil.com",
  "[localhost]",
  "127.0.0.1:http",
])("the host %s is refused", async (host) => {
  expect(await ask(models, `Host: ${host}`)).toEqual({ status: 403, code: "host_not_allowed" });
});

test("of two hosts neither counts", async () => {
  expect(await ask(models, "Host: localhost", "Host: evil.com")).toEqual({ status: 403, code: "host_not_allowed" });
  expect(await ask(models, "Host: localhost", "hOST: localhost")).toEqual({ status: 403, code: "host_not_allowed" });
});

test("the host of a target in absolute form counts as well", async () => {
  expect(await ask("GET http://localhost:8080/v1/models HTTP/1.1", "Host: localhost")).toMatchObject({ status: 200 });
  expect(await ask("GET http://evil.com/v1/models HTTP/1.1", "Host: localhost")).toEqual({
    status: 403,
    code: "host_not_allowed",
  });
});

test.each(["GET", "HEAD", "POST", "DELETE", "PUT"])(
  "absolute form and doubled slashes lead %s to the same route",
  async (method) => {
    for (const route of ["/v1/models", "/v1/chat/completions", "/v1/nothing"]) {
      const plain = await ask(`${method} ${route} HTTP/1.1`, "Host: localhost");
      for (const target of [`http://localhost${route}`, `/${route}`, route.replace("/v1", "//v1/")]) {
        expect(await ask(`${method} ${target} HTTP/1.1`, "Host: localhost"), target).toEqual(plain);
      }
    }
  },
);

test("a key may come as X-Api-Key, and a wrong one is refused there too", async () => {
  gateway.settings.apiKeys = [{ name: "anna", sha256: createHash("sha256").update("secret").digest("hex") }];
  expect(await ask(models, "Host: localhost")).toEqual({ status: 401, code: "missing_api_key" });
  expect(await ask(models, "Host: localhost", "X-Api-Key: secret")).toMatchObject({ status: 200 });
  expect(await ask(models, "Host: localhost", "X-Api-Key: other")).toEqual({ status: 401, code: "invalid_api_key" });
  expect(await ask(models, "Host: localhost", "Authorization: Bearer other", "X-Api-Key: secret")).toEqual({
    status: 401,
    code: "invalid_api_key",
  });
});
