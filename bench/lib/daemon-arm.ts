/** What the programs that run a whole daemon as an arm have in common: the stub as its engine, and their end. */
import { chmod, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CACHE_SCOPES_PATCH, DEPARTED_CLIENTS_PATCH } from "../../src/engines/llama-server/build/manifest.ts";
import type { installAssistant } from "../../test/support/assistant.ts";
import { emptyGguf } from "../../test/support/gguf-writer.ts";
import { benchRoot } from "./report.ts";
import { usageOf } from "./usage.ts";

/** A program that takes llama-server's flags and is the stub; it says of itself that it has our patches. */
export async function stubEngine(directory: string): Promise<string> {
  const binary = join(directory, "llama-server");
  const stub = join(benchRoot, "lib/stub-upstream.ts");
  await writeFile(
    binary,
    `#!/bin/sh\n[ "$1" = --version ] && exec echo "version: 0 (stub)"\nexec "${process.execPath}" "${stub}" "$@"\n`,
  );
  await chmod(binary, 0o755);
  const patches = [DEPARTED_CLIENTS_PATCH, CACHE_SCOPES_PATCH].map((name) => ({ name, sha256: "0" }));
  const facts = { flags: [], backends: ["cpu"], compiler: "none", builtAt: "2026-01-01T00:00:00Z", buildSeconds: 0 };
  const manifest = {
    schema: 1,
    engine: "llama-server",
    sourceTag: "stub",
    sourceCommit: "0",
    patches,
    ...facts,
    binaryBytes: (await stat(binary)).size,
  };
  await writeFile(join(directory, "manifest.json"), JSON.stringify(manifest));
  await writeFile(join(directory, "stub.gguf"), emptyGguf);
  return binary;
}

/** The file of the model that the stub serves. */
export const stubModel = (directory: string): string =>
  `[chat]\nmodel_name = "stub"\nsource = "${join(directory, "stub.gguf")}"\nengine = "llama-server"\nctx_size = 65536\nslots = 64\nthreads = 1\n`;

type Installed = Awaited<ReturnType<typeof installAssistant>>;

/** Serves until the parent goes; tells it the port once `whenUp` is done, and the daemon's usage whenever it asks. */
export async function serveAsArm(
  assistant: Installed,
  whenUp: (status: Awaited<ReturnType<Installed["status"]>>) => Promise<void> = async () => {},
): Promise<void> {
  // However this process is told to go, the daemon goes first; it outlives its parent otherwise.
  let ending = false;
  const end = (code: number): void => {
    if (ending) return;
    ending = true;
    void Promise.resolve(assistant[Symbol.asyncDispose]()).then(() => process.exit(code));
  };
  process.on("disconnect", () => end(0));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => end(1));
  process.on("uncaughtException", (error) => {
    console.error(error);
    end(1);
  });
  const url = await assistant.serve();
  const status = await assistant.status();
  await whenUp(status);
  process.send?.({ port: Number(new URL(url).port) });
  process.on("message", (message) => {
    if (message === "usage") process.send?.({ pid: status.pid, ...usageOf(status.pid ?? 0) });
  });
}
