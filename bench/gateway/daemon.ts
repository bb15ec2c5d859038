/** The whole daemon, as `serve` starts it: keys, fingerprints, scheduler, request log; its one engine is the stub. */
import { createHash } from "node:crypto";
import { chmod, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CACHE_SCOPES_PATCH, DEPARTED_CLIENTS_PATCH } from "../../src/engines/llama-server/build/manifest.ts";
import { installAssistant } from "../../test/support/assistant.ts";
import { benchRoot } from "../lib/report.ts";
import { usageOf } from "../lib/usage.ts";

const { directory, key, preload } = JSON.parse(process.argv[2] ?? "{}") as { directory: string; key: string; preload?: string };

const binary = join(directory, "llama-server");
await writeFile(
  binary,
  `#!/bin/sh\n[ "$1" = --version ] && exec echo "version: 0 (stub)"\nexec "${process.execPath}" "${join(benchRoot, "lib/stub-upstream.ts")}" "$@"\n`,
);
await chmod(binary, 0o755);
const manifest = {
  schema: 1,
  engine: "llama-server",
  sourceTag: "stub",
  sourceCommit: "0",
  patches: [DEPARTED_CLIENTS_PATCH, CACHE_SCOPES_PATCH].map((name) => ({ name, sha256: "0" })),
};
const facts = { flags: [], backends: ["cpu"], compiler: "none", builtAt: "2026-01-01T00:00:00Z", buildSeconds: 0, binaryBytes: (await stat(binary)).size };
await writeFile(join(directory, "manifest.json"), JSON.stringify({ ...manifest, ...facts }));
await writeFile(join(directory, "stub.gguf"), "GGUF");

const sha256 = createHash("sha256").update(key).digest("hex");
const assistant = await installAssistant({
  config: `[[server.api_key_sha256]]\nname = "bench"\nsha256 = "${sha256}"\n\n[engine]\nllama_server_path = "${binary}"\n`,
  models: {
    stub: `[chat]\nmodel_name = "stub"\nsource = "${join(directory, "stub.gguf")}"\nengine = "llama-server"\nctx_size = 65536\nslots = 64\nthreads = 1\n`,
  },
  ...(preload === undefined ? {} : { env: { NODE_OPTIONS: `--import ${preload}` } }),
});
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
const { pid } = await assistant.status();
process.send?.({ port: Number(new URL(url).port) });
process.on("message", (message) => {
  if (message === "usage") process.send?.({ pid, ...usageOf(pid ?? 0) });
});
