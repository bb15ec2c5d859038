import { rmSync } from "node:fs";
import { keepCompiledCode } from "../../../core/package.ts";
import { endWithParent } from "../../worker/parent.ts";
import type { WorkerConfig } from "./config.ts";
import { createSurface, type Serving } from "./server.ts";

/** The embedded engine's program: loads one model and serves it on a Unix socket until its parent exits or stops it. */
const log = (line: string): void => void process.stderr.write(`${line}\n`);

const config = JSON.parse(process.argv[2] ?? "null") as WorkerConfig | null;
if (config === null) {
  log("usage: node main.js CONFIG_JSON");
  process.exit(64);
}

let serving: Serving | null = null;
keepCompiledCode();
endWithParent(log);

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
    const [{ loadModel }, { complete }, { embeddingsResponse }, { rankingResponse }] = await Promise.all([
      import("./model.ts"),
      import("./completions.ts"),
      import("./embeddings.ts"),
      import("./ranking.ts"),
    ]);
    let shown = 0;
    const onProgress = (share: number): void => {
      if (share - shown < 0.1) return;
      shown = share;
      log(`loading ${Math.round(share * 100)} %`);
    };
    serving = { loaded: await loadModel(config, onProgress, log), complete, embeddingsResponse, rankingResponse };
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
