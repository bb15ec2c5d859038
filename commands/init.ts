import { Args, Flags } from "@oclif/core";
import { noticeText } from "../src/config/findings.ts";
import { loadConfig } from "../src/config/load.ts";
import {
  ensureConfig,
  modelConfigFile,
  renderConfig,
  renderModelConfig,
  type WrittenFile,
  writeNew,
} from "../src/config/write.ts";
import { AssistantError } from "../src/core/errors.ts";
import { probeHardware } from "../src/fleet/hardware.ts";
import { DEFAULT_MODEL } from "../src/models/catalog.ts";
import { BaseCommand } from "./support/cli/base-command.ts";
import { modelOrder } from "./support/init/model-order.ts";

interface InitResult {
  /** Files, in the order in which they were checked; empty with `--stdout`. */
  readonly files: readonly WrittenFile[];
  /** Texts by file, with `--stdout`. */
  readonly texts?: Readonly<Record<string, string>>;
}

export default class Init extends BaseCommand {
  static override summary = "Write a configuration that fits this machine";
  static override description =
    "Writes config.toml or, with --model-config, the file of one model (and config.toml if there is none). " +
    "Each value has a comment that explains it. Existing files are not overwritten without --force.";

  static override examples = [
    { description: "Write config.toml", command: "<%= config.bin %> init" },
    { description: "Also write settings for the default model", command: "<%= config.bin %> init --model-config" },
    {
      description: "Settings for a local GGUF file",
      command: "<%= config.bin %> init --model-config tuna --source ~/models/tuna-7b.gguf",
    },
    { description: "Show what would be written", command: "<%= config.bin %> init --model-config --stdout" },
  ];

  static override args = {
    name: Args.string({ description: `model to write settings for, with --model-config (default: ${DEFAULT_MODEL})` }),
  };

  static override flags = {
    "model-config": Flags.boolean({ description: "write the settings of a model" }),
    source: Flags.string({
      description: "weights: a catalog name, hf:ORG/REPO/FILE.gguf or a path (default: NAME in the catalog)",
      dependsOn: ["model-config"],
    }),
    embedding: Flags.boolean({ description: "it is an embedding model", dependsOn: ["model-config"] }),
    force: Flags.boolean({ char: "f", description: "overwrite the file (with --model-config: the model's)" }),
    stdout: Flags.boolean({ description: "print instead of writing", exclusive: ["force"] }),
  };

  async run(): Promise<InitResult> {
    const { args, flags } = await this.parse(Init);
    if (args.name !== undefined && !flags["model-config"]) {
      throw new AssistantError(
        "usage",
        `\`init\` takes a name only with --model-config, found ${JSON.stringify(args.name)}.`,
        {
          remedy: `Write \`assistant init --model-config ${args.name}\`.`,
        },
      );
    }
    const { env, paths } = this.context(flags);
    const hardware = await probeHardware(env);
    const order = flags["model-config"]
      ? { ...(await modelOrder(this.context(flags), args.name, flags)), hardware }
      : null;

    if (flags.stdout) {
      const [file, text] =
        order === null
          ? [paths.configFile, await renderConfig(hardware)]
          : [modelConfigFile(paths, order.name), await renderModelConfig(order)];
      if (!this.jsonEnabled()) process.stdout.write(text);
      return { files: [], texts: { [file]: text } };
    }
    if (order === null) {
      await writeNew(paths.configFile, await renderConfig(hardware), { force: flags.force });
      return this.#done([{ file: paths.configFile, written: true }]);
    }
    const load = () => loadConfig({ env, configFile: flags.config, hardware });
    const { modelConfigDir } = (await load()).paths;
    const file = modelConfigFile({ ...paths, modelConfigDir }, order.name);
    await writeNew(file, await renderModelConfig(order), { force: flags.force });
    const files = [await ensureConfig(paths, hardware), { file, written: true }];
    // Conflicts of the new file with others, such as a name that is taken, only show in the complete configuration.
    for (const notice of (await load()).notices) if (notice.file === file) this.say(noticeText(notice));
    return this.#done(files);
  }

  #done(files: readonly WrittenFile[]): InitResult {
    for (const { file, written } of files) this.log(`${written ? "Wrote" : "Kept "} ${file}`);
    return { files };
  }
}
