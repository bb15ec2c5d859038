import { once } from "node:events";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { execa } from "execa";
import { expect, test } from "vitest";
import { packageRoot } from "../support/assistant.ts";

const WORKER = `import { Client, InferenceError } from "assistant/client";
import { type ChatRecord, runWorker, WorkerApp } from "assistant/worker";

class Echo {
  *complete(history: readonly ChatRecord[]): Generator<string> {
    yield \`You said: \${history.at(-1)?.msg}\`;
  }
}
export const app: WorkerApp = new WorkerApp().capability({ type: "double" }, (request) => ({
  out: request.get("in").map((each) => 2 * Number(each)),
}));
export const client: Client = new Client({ endpoint: "http://127.0.0.1:8080" });
export const isRefusal = (error: unknown): boolean => error instanceof InferenceError && error.status === 400;
// @ts-expect-error It takes no text.
export const wrong = () => runWorker("");
process.exitCode = await runWorker({ layout: { llm: new Echo() } });
`;
const SETTINGS = { strict: true, module: "nodenext", target: "esnext", lib: ["esnext"], noEmit: true, types: ["node"] };

test("a TypeScript project with the packed package compiles without complaint, and its worker runs", async () => {
  const root = await mkdtemp(join(tmpdir(), "assistant-package-"));
  const tsc = join(packageRoot, "node_modules/typescript/bin/tsc");
  await execa(process.execPath, [tsc, "-p", join(packageRoot, "tsconfig.types.json"), "--checkers", "1"]);
  const { stdout } = await execa("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", root], {
    cwd: packageRoot,
  });
  await execa("tar", ["xzf", join(root, stdout.trim()), "-C", root]);
  await mkdir(join(root, "node_modules"));
  await rename(join(root, "package"), join(root, "node_modules/assistant"));
  await symlink(join(packageRoot, "node_modules/@types"), join(root, "node_modules/@types"));
  await writeFile(join(root, "package.json"), '{ "type": "module" }');
  await writeFile(join(root, "tsconfig.json"), JSON.stringify({ compilerOptions: SETTINGS, include: ["worker.ts"] }));
  await writeFile(join(root, "worker.ts"), WORKER);
  const compiled = await execa(process.execPath, [tsc, "-p", root, "--checkers", "1"], { reject: false });
  expect(compiled.stdout).toBe("");

  // Stands for the daemon: takes the registration.
  const registry = createServer().listen(0, "127.0.0.1");
  await once(registry, "listening");
  const { port } = registry.address() as AddressInfo;
  const worker = execa(process.execPath, [join(root, "worker.ts")], {
    env: { AGENT_ENDPOINT: `http://127.0.0.1:${port}/v1.0/`, LLM_NAME: "packed" },
    reject: false,
  });
  const [request, response] = await once(registry, "request");
  const { name, endpoint } = JSON.parse((await buffer(request)).toString()) as { name: string; endpoint: string };
  response.writeHead(201).end();
  const input = JSON.stringify([{ isbot: false, msg: "hi" }]);
  const answer = await fetch(endpoint, { method: "POST", body: new URLSearchParams({ input }) });
  expect([name, await answer.text()]).toEqual(["packed", "You said: hi"]);
  registry.on("request", (_, said) => void said.writeHead(204).end());
  worker.kill("SIGTERM");
  expect((await worker).exitCode).toBe(0);
  registry.close();
  await rm(root, { recursive: true });
});
