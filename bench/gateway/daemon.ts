/** The whole daemon, as `serve` starts it: keys, fingerprints, scheduler, request log; its one engine is the stub. */
import { createHash } from "node:crypto";
import { installAssistant } from "../../test/support/assistant.ts";
import { serveAsArm, stubEngine, stubModel } from "../lib/daemon-arm.ts";

const { directory, key, preload } = JSON.parse(process.argv[2] ?? "{}") as {
  directory: string;
  key: string;
  preload?: string;
};

const sha256 = createHash("sha256").update(key).digest("hex");
const assistant = await installAssistant({
  config: `[[server.api_key_sha256]]\nname = "bench"\nsha256 = "${sha256}"\n\n[engine]\nllama_server_path = "${await stubEngine(directory)}"\n`,
  models: { stub: stubModel(directory) },
  ...(preload === undefined ? {} : { env: { NODE_OPTIONS: `--import ${preload}` } }),
});
await serveAsArm(assistant);
