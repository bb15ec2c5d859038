import { resolve } from "node:path";
import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "./support/cli/base-command.ts";
import type { Imported } from "./support/models/import.ts";

export default class Import extends BaseCommand {
  static override summary = "Import models that are already on this machine";
  static override description =
    "Imports a GGUF file, a folder with one model, or Ollama's folder of models. " +
    "Files are linked if the file system allows it, so they take no additional space.";
  static override examples = [
    { description: "A file", command: "<%= config.bin %> import ./model.gguf --name mine" },
    { description: "The models of Ollama", command: "<%= config.bin %> import ~/.ollama/models" },
  ];
  static override args = {
    path: Args.string({ required: true, description: "file or folder" }),
  };
  static override flags = {
    name: Flags.string({ helpValue: "NAME", description: "name of the model here (default: the file's)" }),
    sha256: Flags.string({ helpValue: "HEX", description: "expected SHA-256 digest of the file" }),
  };

  async run(): Promise<Imported> {
    const { args, flags } = await this.parse(Import);
    const [{ importModels }, { pulledText }] = await Promise.all([
      import("./support/models/import.ts"),
      import("./support/models/pull.ts"),
    ]);
    const imported = await importModels(resolve(args.path), {
      context: this.context(flags),
      name: flags.name ?? null,
      sha256: flags.sha256 ?? null,
      progress: this.jsonEnabled() ? null : process.stderr,
    });
    for (const model of imported.models) this.log(pulledText(model));
    for (const { reference, message } of imported.problems) this.say(`${reference}: ${message}`);
    if (imported.problems.length > 0) process.exitCode = 1;
    return imported;
  }
}
