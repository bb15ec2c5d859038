import { resolve } from "node:path";
import { Args, Flags } from "@oclif/core";
import type { Exported } from "../src/models/copy.ts";
import { BaseCommand } from "./support/cli/base-command.ts";

export default class Export extends BaseCommand {
  static override summary = "Copy a model's files to another place";
  static override description =
    "Files appear complete or not at all. A model with several files is copied to a folder, " +
    "under the file names that llama.cpp expects.";
  static override examples = [
    { description: "To a file", command: "<%= config.bin %> export smollm2 ./smollm2.gguf" },
    { description: "Into a folder", command: "<%= config.bin %> export smollm2 /media/usb" },
  ];
  static override args = {
    name: Args.string({ required: true, description: "name of a pulled model (see `assistant list`)" }),
    path: Args.string({ required: true, description: "file or folder; a folder for a model with several files" }),
  };
  static override flags = { force: Flags.boolean({ description: "overwrite existing files" }) };

  async run(): Promise<Exported> {
    const { args, flags } = await this.parse(Export);
    const [{ exportModel }, { storedNamed }, { showProgress }, { formatBytes }] = await Promise.all([
      import("../src/models/copy.ts"),
      import("./support/models/remove.ts"),
      import("./support/cli/progress.ts"),
      import("../src/models/format.ts"),
    ]);
    const model = await storedNamed(args.name, this.context(flags));
    const silent = { write: () => true };
    using progress = showProgress(this.jsonEnabled() ? silent : process.stderr, `copying ${args.name}`);
    const exported = await exportModel(model, resolve(args.path), {
      force: flags.force,
      // As `cp` has it, a path that ends in a slash is a folder.
      asFolder: args.path.endsWith("/"),
      onFile: (file, index, count) => progress.update(`copying ${file} (${index + 1} of ${count})`),
    });
    progress.stop();
    for (const file of exported.files) this.log(`Wrote ${file}`);
    this.say(`Copied ${exported.name} (${formatBytes(exported.bytes)}).`);
    return exported;
  }
}
