import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { answerFrom, bytesFrom, requireHeaders, valuesFrom } from "../../../src/pipelines/service.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let answer: Answer;
let asked: string[];
const server = createServer((request, response) => {
  asked.push(request.url ?? "");
  answer(request, response);
});
let url: string;
beforeEach(async () => {
  asked = [];
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const request = (more: object = {}) => ({
  ...{ service: "It", url: `${url}/here`, headers: { "x-key": "secret" } },
  ...{ timeoutMs: 5_000, signal: new AbortController().signal },
  ...more,
});

test("a redirect is not followed, which would carry the key elsewhere", async () => {
  answer = ({ url: path }, response) => {
    response.writeHead(path === "/here" ? 307 : 200, { location: "/there" }).end("{}");
  };
  await expect(answerFrom(request())).rejects.toThrow('It answered with a redirect to "/there", which is not followed');
  expect(asked).toEqual(["/here"]);
});

test("of a refusal without an end the beginning is read", async () => {
  answer = (_, response) => {
    response.writeHead(500);
    const more = (): void => {
      while (response.write("x".repeat(10_000)));
      response.once("drain", more);
    };
    more();
  };
  const error = (await answerFrom(request()).catch((thrown: unknown) => thrown)) as Error;
  expect(error.message).toContain("It answered with status 500: xxx");
  expect(error.message.length).toBeLessThan(400);
});

test("a reader who takes his time is no silence of the service", async () => {
  answer = (_, response) => void response.write("one");
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const bytes = bytesFrom(request());
  expect(Buffer.from((await bytes.next()).value as Uint8Array).toString()).toBe("one");
  vi.advanceTimersByTime(60_000);
  const next = bytes.next();
  server.closeAllConnections();
  await expect(next).rejects.toThrow(/cannot be reached/);
});

test("an event without an end is refused before it fills the memory", async () => {
  answer = (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: ");
    const more = (): void => {
      while (response.write(Buffer.alloc(2 ** 20, "x")));
      response.once("drain", more);
    };
    more();
  };
  await expect(valuesFrom(request(), "sse").next()).rejects.toThrow("It sent an event that does not end");
});

test("sound is sent as it is", async () => {
  let type: string | undefined;
  answer = (incoming, response) => {
    type = incoming.headers["content-type"];
    incoming.pipe(response);
  };
  expect(await answerFrom(request({ body: new Uint8Array([1, 2, 255]) }))).toEqual(Buffer.from([1, 2, 255]));
  expect(type).toBe("application/octet-stream");
});

test("a header that cannot be sent is named without its value", () => {
  const check = (): void => requireHeaders({ authorization: "Bearer s\nx" }, "api_key_env");
  expect(check).toThrow('The header "authorization" (`api_key_env`) cannot be sent.');
});
