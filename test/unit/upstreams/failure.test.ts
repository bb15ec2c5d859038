import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { Metadata, status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { openChannel } from "../../../src/upstreams/node/channel.ts";
import { failureOf, isAway, isTimeout, transferFailureOf } from "../../../src/upstreams/node/failure.ts";

const failed = (code: number, details = "why", values: Record<string, string> = {}): Error => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return Object.assign(new Error(`${code} ${details}`), { code, details, metadata });
};

test.each([
  [status.UNAVAILABLE, "node_unavailable"],
  [status.RESOURCE_EXHAUSTED, "queue_full"],
  [status.UNAUTHENTICATED, "node_unavailable"],
  [status.PERMISSION_DENIED, "node_unavailable"],
  [status.DEADLINE_EXCEEDED, "deadline_exceeded"],
  [status.CANCELLED, "engine_lost"],
  [status.UNIMPLEMENTED, "node_unavailable"],
  [status.INTERNAL, "engine_error"],
])("status %i is %s", (code, expected) => {
  const error = failureOf("b", failed(code));
  expect(error.code).toBe(expected);
  expect(error.message).toContain('"b"');
});

test("another daemon's own words are kept, but for those about our key", () => {
  const busy = failureOf(
    "b",
    failed(status.RESOURCE_EXHAUSTED, "12 requests wait", {
      "x-assistant-code": "no_capacity",
      "x-assistant-remedy": "Wait.",
      "retry-after": "7",
    }),
  );
  expect(busy).toMatchObject({ code: "no_capacity", message: "12 requests wait", remedy: "Wait.", retryAfterS: 7 });
  const key = failureOf("b", failed(status.UNAUTHENTICATED, "no key", { "x-assistant-code": "missing_api_key" }));
  expect(key).toMatchObject({ code: "node_unavailable", status: 503 });
  expect(failureOf("b", failed(status.INTERNAL, "?", { "x-assistant-code": "no_such_code" })).code).toBe(
    "engine_error",
  );
});

test("a machine is away when nothing answers, not when its daemon refuses", () => {
  expect(isAway(failed(status.UNAVAILABLE))).toBe(true);
  expect(isAway(failed(status.UNAVAILABLE, "stopping", { "x-assistant-code": "shutting_down" }))).toBe(false);
  expect(isAway(failed(status.RESOURCE_EXHAUSTED))).toBe(false);
  expect(isTimeout(failed(status.DEADLINE_EXCEEDED))).toBe(true);
  expect(isAway(new Error("x"))).toBe(false);
});

test.each([
  [status.UNAVAILABLE, undefined, "node_unavailable"],
  [status.CANCELLED, undefined, "node_unavailable"],
  [status.INTERNAL, undefined, "node_unavailable"],
  [status.UNAVAILABLE, "shutting_down", "node_unavailable"],
  [status.INTERNAL, "internal", "internal"],
  [status.NOT_FOUND, "model_not_found", "model_not_found"],
  [status.UNAUTHENTICATED, "missing_api_key", "invalid_api_key"],
  [status.UNIMPLEMENTED, undefined, "pull_failed"],
  [status.FAILED_PRECONDITION, "digest_mismatch", "digest_mismatch"],
])("of a transfer, status %i with code %s is %s", (code, told, expected) => {
  const error = transferFailureOf("b", failed(code, "why", told === undefined ? {} : { "x-assistant-code": told }));
  expect(error.code).toBe(expected);
  expect(error.message).toContain('"b"');
});

test("of a machine that takes no connection the system's own reason is told, and no more", () => {
  const text = "No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.7:50051. Resolution note: ";
  expect(failureOf("b", failed(status.UNAVAILABLE, text)).message).toBe(
    'The remote server "b" cannot be reached: connect ECONNREFUSED 10.0.0.7:50051',
  );
  expect(transferFailureOf("b", failed(status.UNAVAILABLE, text)).message).toMatch(
    /closed the connection: connect ECONNREFUSED 10\.0\.0\.7:50051$/,
  );
  expect(failureOf("b", failed(status.UNAVAILABLE, "Name resolution failed for target dns:b")).message).toMatch(
    /Name resolution failed/,
  );
});

test.each<[string, () => Server]>([
  ["a web server", () => createHttpServer((_, response) => response.end("<html>"))],
  ["SSH", () => createServer((socket) => void socket.on("error", () => {}).write("SSH-2.0-OpenSSH_9.2\r\n"))],
])("%s at the address of a machine is named as a program that does not speak gRPC", async (_, listen) => {
  const server = listen();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const channel = await openChannel({ address: { host: "127.0.0.1", port }, apiKey: null });
  try {
    const error: unknown = await channel.info(3_000).catch((reason: unknown) => reason);
    for (const { code, message, remedy } of [failureOf("b", error), transferFailureOf("b", error)]) {
      expect(code).toBe("node_unavailable");
      expect(message).toBe(
        'Expected an Assistant daemon\'s gRPC service at the address of the remote server "b", ' +
          "but a program listens there that does not speak gRPC",
      );
      expect(remedy).toContain("`[server] grpc_addr`");
    }
  } finally {
    channel.close();
    server.close();
  }
});
