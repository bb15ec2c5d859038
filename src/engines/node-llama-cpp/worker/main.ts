import { fstatSync, rmSync } from "node:fs";
import type { WorkerConfig } from "./config.ts";
import { createSurface, type Serving } from "./server.ts";

/** The embedded engine's program: loads one model and serves it on a Unix socket until its parent ends or says so. */
const log = (line: string): void => void process.stderr.write(`${line}\n`);

const config = JSON.parse(process.argv[2] ?? "null") as WorkerConfig | null;
if (config === null) {
  log("usage: node main.js CONFIG_JSON");
  process.exit(64);
}

let serving: Serving | null = null;
endWithParent();
process.on("SIGTERM", () => process.exit(0));
process.on("SIGINT", () => process.exit(0));
// The process group gets the terminal's signals too; without a terminal the next write must not end the engine silently.
process.stderr.on("error", () => undefined);

const server = createSurface(config, () => serving, log);
server.on("error", (error) => {
  log(`cannot listen on ${config.socketPath}: ${error.message}`);
  process.exit(1);
});
rmSync(config.socketPath, { force: true });
server.listen(config.socketPath, () => void load(config));

async function load(config: WorkerConfig): Promise<void> {
  const started = performance.now();
  try {
    const [{ loadModel }, { complete }, { embeddingsResponse }] = await Promise.all([
      import("./model.ts"),
      import("./completions.ts"),
      import("./embeddings.ts"),
    ]);
    let shown = 0;
    const onProgress = (share: number): void => {
      if (share - shown < 0.1) return;
      shown = share;
      log(`loading ${Math.round(share * 100)} %`);
    };
    serving = { loaded: await loadModel(config, onProgress, log), complete, embeddingsResponse };
    const { contextTokens } = serving.loaded.evaluation;
    const took = ((performance.now() - started) / 1000).toFixed(2);
    log(
      `ready after ${took} s: ${config.modelName}, ${config.slots} slots of ${contextTokens} tokens, ${config.threads} threads, on ${config.gpu ?? "the CPU"}`,
    );
  } catch (error) {
    log(`cannot load ${config.modelPath}: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}

/** A daemon that was killed cannot stop its engines: they notice. */
function endWithParent(): void {
  const end = (how: string): void => {
    log(`ending: ${how}`);
    process.exit(0);
  };
  process.on("disconnect", () => end("the parent's channel was closed"));
  const input = fstatSync(0, { throwIfNoEntry: false });
  if (input?.isFIFO() || input?.isSocket()) {
    process.stdin.on("end", () => end("the parent closed the input"));
    process.stdin.on("error", () => end("the parent's input failed"));
    process.stdin.resume();
  }
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && end("the parent is gone"), 1000).unref();
}
