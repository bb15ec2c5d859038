import { resolve } from "node:path";
import { Args } from "@oclif/core";
import { loadConfig } from "../../src/config/load.ts";
import { AssistantError } from "../../src/core/errors.ts";
import { type EngineChoice, NO_CHOICE, readEngineChoice, writeEngineChoice } from "../../src/engines/choice.ts";
import { type FoundEngine, findLlamaServer, inspectLlamaServer } from "../../src/engines/llama-server/installation.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class EngineUse extends BaseCommand {
  static override summary = 'Choose the engine of models whose engine is "auto"';
  static override description =
    "`llama-server` is the native engine, `node-llama-cpp` the embedded one; `auto` takes the native one where there is one. " +
    "A path names a llama-server of your own. The choice is remembered for this data directory; `engine = …` in a model's file wins over it.";
  static override examples = [
    { description: "Back to the default", command: "<%= config.bin %> engine use auto" },
    { description: "The embedded engine, although the native one is there", command: "<%= config.bin %> engine use node-llama-cpp" },
    { description: "A llama-server of your own", command: "<%= config.bin %> engine use /opt/llama.cpp/bin/llama-server" },
  ];
  static override args = {
    engine: Args.string({ required: true, description: "llama-server, node-llama-cpp, auto, or the path of a llama-server" }),
  };

  async run(): Promise<EngineChoice & { readonly file: string }> {
    const { args, flags } = await this.parse(EngineUse);
    const { env, paths } = this.context(flags);
    let choice: EngineChoice;
    let server: FoundEngine | null = null;
    if (args.engine === "auto") {
      choice = NO_CHOICE;
    } else if (args.engine === "node-llama-cpp") {
      choice = { ...(await readEngineChoice(paths.enginesDir)), engine: args.engine };
    } else if (args.engine === "llama-server") {
      const { llamaServerPath } = await loadConfig({ env, configFile: flags.config });
      server = await findLlamaServer(paths, llamaServerPath, env["PATH"] ?? "");
      choice = { ...(await readEngineChoice(paths.enginesDir)), engine: args.engine };
    } else if (/[/\\.]/u.test(args.engine)) {
      const path = resolve(args.engine);
      server = await inspectLlamaServer(path, "chosen");
      choice = { engine: "llama-server", llamaServerPath: path };
    } else {
      throw new AssistantError("usage", `Expected llama-server, node-llama-cpp, auto or a path, and got "${args.engine}".`, {
        param: "ENGINE",
        remedy: "A program in this directory is named with ./ before it.",
      });
    }
    if (server?.available === false) throw new AssistantError("engine_unavailable", server.reason, { remedy: server.remedy });
    const file = await writeEngineChoice(paths.enginesDir, choice);
    this.log(`Models with engine = "auto" run on ${describe(choice, server)}, from the daemon's next start.`);
    return { ...choice, file };
  }
}

function describe(choice: EngineChoice, server: FoundEngine | null): string {
  if (server?.available) return `llama-server ${server.version} at ${server.path}`;
  return choice.engine === "auto" ? "llama-server where there is one, else on node-llama-cpp" : choice.engine;
}
