import { mkdir } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeInstallation, installWithFake } from "../support/fake-daemon.ts";

let fake: FakeInstallation;
let other: Server | null = null;
beforeEach(async () => {
  fake = await installWithFake();
});
afterEach(async () => {
  other?.close();
  await fake[Symbol.asyncDispose]();
});

const httpServer = (status: number, type: string, body: string): Server =>
  createHttpServer((_, response) => void response.writeHead(status, { "content-type": type }).end(body));
const banner = (text: string): Server =>
  createServer((socket) => {
    socket.on("error", () => {});
    socket.end(text);
  });

test.each<[string, () => Server, string]>([
  ["SSH", () => banner("SSH-2.0-OpenSSH_9.2\r\n"), 'its answer is not HTTP, and begins with "SSH-2.0-OpenSSH_9.2'],
  ["a web server", () => httpServer(200, "text/html", "<html>"), 'it answered with status 200 and "text/html"'],
  ["a service without this route", () => httpServer(404, "text/plain", "no"), "it answered with status 404"],
  ["a JSON service", () => httpServer(200, "application/json", "{}"), 'status 200 and "application/json"'],
])("%s on the daemon's socket is named by every command", async (_, server, found) => {
  const socket = join(fake.assistant.env["ASSISTANT_DATA_DIR"] ?? "", "run", "admin.sock");
  await mkdir(dirname(socket), { recursive: true, mode: 0o700 });
  const listening = server();
  other = listening;
  await new Promise<void>((resolve) => listening.listen(socket, resolve));
  const commands = ["status", "ps", "stop", "serve", "task list", "object list", "key list"];
  const results = await Promise.all(commands.map((command) => fake.assistant.run(command.split(" "))));
  for (const [index, { exitCode, stdout, stderr }] of results.entries()) {
    const said = stderr.replaceAll(/\s+/g, " ");
    expect([commands[index], exitCode, stdout]).toEqual([commands[index], 1, ""]);
    expect(said).toContain(`Expected the Assistant daemon at ${socket}, but another program listens there`);
    expect(said).toContain(found);
    expect(said).toContain("Stop that program");
  }
  const json = await fake.assistant.run(["status", "--json"]);
  expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "address_in_use" } });
  // What needs no daemon works.
  expect((await fake.assistant.run(["list"])).exitCode).toBe(0);
});
