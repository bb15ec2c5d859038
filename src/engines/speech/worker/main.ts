import { rmSync } from "node:fs";
import { endWithParent } from "../../worker/parent.ts";
import type { SpeechWorkerConfig } from "./config.ts";
import { openEspeak } from "./espeak-synthesizer.ts";
import { findFormats } from "./formats.ts";
import { createSpeechSurface } from "./server.ts";
import { openSherpa } from "./sherpa-synthesizer.ts";
import type { Speaker } from "./speak.ts";
import type { Synthesizer } from "./synthesizer.ts";

/** The speech engine's program: loads one voice and serves it on a Unix socket until its parent exits or stops it. */
const log = (line: string): void => void process.stderr.write(`${line}\n`);

const config = JSON.parse(process.argv[2] ?? "null") as SpeechWorkerConfig | null;
if (config === null) {
  log("usage: node main.js CONFIG_JSON");
  process.exit(64);
}

let speaker: Speaker | null = null;
endWithParent(log);

const server = createSpeechSurface(config, () => speaker, log);
server.on("error", (error) => {
  log(`cannot listen on ${config.socketPath}: ${error.message}`);
  process.exit(1);
});
rmSync(config.socketPath, { force: true });
server.listen(config.socketPath, () => void load(config));

async function load(config: SpeechWorkerConfig): Promise<void> {
  const started = performance.now();
  try {
    const synthesizer = await open(config);
    const formats = findFormats(config.pathVariable);
    if (config.voice !== "" && synthesizer.find(config.voice) === null) {
      const some = synthesizer.voices.slice(0, 10).map(({ id }) => id);
      throw new Error(`there is no voice ${JSON.stringify(config.voice)}; there are ${some.join(", ")}`);
    }
    speaker = { config, synthesizer, formats };
    const took = ((performance.now() - started) / 1000).toFixed(2);
    const { length } = synthesizer.voices;
    log(`ready after ${took} s: ${config.modelName}, ${length} voices, ${[...formats.keys()].join(", ")}`);
  } catch (error) {
    log(`cannot load ${config.modelName}: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}

async function open({ backend, threads }: SpeechWorkerConfig): Promise<Synthesizer> {
  return backend.type === "espeak-ng" ? openEspeak(backend.program) : openSherpa(backend, threads);
}
