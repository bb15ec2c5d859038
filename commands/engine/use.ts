import { Args } from "@oclif/core";
import { loadConfig } from "../../src/config/load.ts";
import { type EngineChoice, writeEngineChoice } from "../../src/engines/choice.ts";
import { chooseBuild, migrateBuilds } from "../../src/engines/llama-server/builds.ts";
import { engineToUse } from "../../src/engines/use.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { engineFolder } from "../support/stores.ts";

export default class EngineUse extends BaseCommand {
  static override summary = 'Select the engine of models with `engine = "auto"`';
  static override description =
    "`llama-server` is the native engine, `node-llama-cpp` the embedded one; `auto` prefers the native one. " +
    "A version selects that build, a path a custom llama-server. " +
    "The selection is stored in the data directory; `engine = …` in a model's file overrides it.";
  static override examples = [
    { description: "Back to the default", command: "<%= config.bin %> engine use auto" },
    {
      description: "The embedded engine, even if the native one is installed",
      command: "<%= config.bin %> engine use node-llama-cpp",
    },
    { description: "An earlier build", command: "<%= config.bin %> engine use v0.5.0-1a2b3c4d" },
    { description: "A custom llama-server", command: "<%= config.bin %> engine use /opt/llama.cpp/bin/llama-server" },
  ];
  static override args = {
    engine: Args.string({
      required: true,
      description: "llama-server, node-llama-cpp, auto, the version of a build, or the path of a llama-server",
    }),
  };

  async run(): Promise<EngineChoice & { readonly file: string }> {
    const { args, flags } = await this.parse(EngineUse);
    const { env, paths } = this.context(flags);
    const folder = engineFolder(paths);
    await migrateBuilds(paths.enginesDir);
    const { choice, build, runsOn } = await engineToUse(args.engine, {
      folder,
      pathVariable: env["PATH"] ?? "",
      llamaServerPath: async () => (await loadConfig({ env, configFile: flags.config })).llamaServerPath,
    });
    if (build !== null) await chooseBuild(paths.enginesDir, build);
    const file = await writeEngineChoice(folder, choice);
    this.log(`Models with engine = "auto" run on ${runsOn} from their next start.`);
    return { ...choice, file };
  }
}
