import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { Args, Flags } from "@oclif/core";
import { objectClient } from "../../src/client/object-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class ObjectGet extends BaseCommand {
  static override summary = "Write an object's content to standard output, or to a file";
  static override examples = [
    { description: "To a file", command: "<%= config.bin %> object get photo --output photo.png" },
  ];
  static override args = { key: Args.string({ description: "key of the object", required: true }) };
  static override flags = {
    output: Flags.string({ char: "o", helpValue: "FILE", description: "file, which must not exist yet" }),
  };

  async run(): Promise<{ readonly key: string; readonly size: number; readonly output: string | null }> {
    const { args, flags } = await this.parse(ObjectGet);
    const answer = await objectClient(this.context(flags).paths).get(args.key);
    const { output = null } = flags;
    if (output !== null) await pipeline(answer, createWriteStream(output, { flags: "wx" }));
    else if (this.jsonEnabled()) answer.resume();
    else await pipeline(answer, process.stdout, { end: false });
    return { key: args.key, size: Number(answer.headers["content-length"]), output };
  }
}
