import { createReadStream } from "node:fs";
import { Args, Flags } from "@oclif/core";
import type { ObjectRef } from "../../src/api/objects.ts";
import { objectClient } from "../../src/client/object-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class ObjectPut extends BaseCommand {
  static override summary = "Store a file as an object and print its key";
  static override examples = [
    { description: "A file", command: "<%= config.bin %> object put photo.png" },
    {
      description: "JSON from another program",
      command: "echo '[1]' | <%= config.bin %> object put - --key list --type json",
    },
  ];
  static override args = { file: Args.string({ description: "file, or - for standard input", required: true }) };
  static override flags = {
    key: Flags.string({ description: "key; an existing object is replaced (default: a new one)" }),
    type: Flags.option({
      options: ["bytes", "json"] as const,
      default: "bytes",
      description: "how to interpret the content",
    })(),
  };

  async run(): Promise<ObjectRef> {
    const { args, flags } = await this.parse(ObjectPut);
    const content = args.file === "-" ? process.stdin : createReadStream(args.file);
    const ref = await objectClient(this.context(flags).paths).put(flags.key ?? null, flags.type, content);
    this.log(ref.key);
    return ref;
  }
}
