/**
 * A whole daemon for the forwarding bench: with the stub engine behind its one model, or with no model and another
 * daemon that has it.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { installAssistant } from "../../test/support/assistant.ts";
import { serveAsArm, stubEngine, stubModel } from "../lib/daemon-arm.ts";

const { directory, other } = JSON.parse(process.argv[2] ?? "{}") as { directory: string; other: string | null };

const assistant = await installAssistant({
  env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0" },
  ...(other === null
    ? {
        config: `[engine]\nllama_server_path = "${await stubEngine(directory)}"\n`,
        models: { stub: stubModel(directory) },
      }
    : { config: `[[remote_servers]]\nname = "other"\ngrpc_addr = "${other}"\n` }),
});
await serveAsArm(assistant, ({ grpc }) => writeFile(join(directory, "grpc"), grpc ?? ""));
