import { Args, Flags } from "@oclif/core";
import type { NewKey } from "../../src/api/keys.ts";
import { keyScopes } from "../../src/core/config.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { keyAccess } from "../support/keys/access.ts";
import { positive, timeOf } from "../support/keys/span.ts";

const limit = (description: string) => Flags.integer({ min: 1, description });

export default class KeyCreate extends BaseCommand {
  static override summary = "Create an API key and print its secret, once";
  static override description =
    "Only a hash of the secret is stored. Once a key exists, every request over the network needs one; " +
    "commands on this machine do not. A running daemon accepts the key at once.";
  static override examples = [
    { description: "A key that may use every model", command: "<%= config.bin %> key create anna" },
    {
      description: "Limited to a model, a rate and a time",
      command:
        "<%= config.bin %> key create ci --model smollm2 --requests-per-minute 60 --tokens-per-day 1000000 " +
        "--expires 90d",
    },
    {
      description: "For an administrator",
      command: "<%= config.bin %> key create root --scope inference --scope admin --scope metrics",
    },
  ];
  static override args = {
    name: Args.string({ required: true, description: "name of the key's holder, shown in logs and usage" }),
  };
  static override flags = {
    scope: Flags.option({ options: keyScopes, multiple: true, description: "what it may do (default: inference)" })(),
    model: Flags.string({
      multiple: true,
      description: "name or alias of a model that it may use; repeatable (default: all)",
    }),
    expires: Flags.string({ helpValue: "WHEN", description: "date (2027-01-31) or time from now (90d, 12h)" }),
    "max-in-flight": limit("concurrent requests, including waiting ones"),
    "requests-per-minute": Flags.integer({
      min: 1,
      max: 1_000_000,
      description: "requests within any minute",
    }),
    "requests-per-day": limit("requests per day (UTC)"),
    "tokens-per-minute": limit("tokens of prompts and answers per minute"),
    "tokens-per-day": limit("tokens of prompts and answers per day (UTC)"),
    "max-stored-mib": Flags.integer({
      min: 0,
      description: "storage limit in MiB (default: `[server] max_stored_mib`)",
    }),
    "max-stored-records": Flags.integer({
      min: 0,
      description: "maximum number of stored records (default: `[server] max_stored_records`)",
    }),
    priority: Flags.integer({
      min: 0,
      max: 100,
      description: "default priority of its requests, 0 to 100 (default: 50)",
    }),
    weight: Flags.string({ helpValue: "N", description: "share of the machine relative to other keys (default: 1)" }),
  };

  async run(): Promise<NewKey> {
    const { args, flags } = await this.parse(KeyCreate);
    await using keys = await keyAccess(this.context(flags));
    const given = {
      scopes: flags.scope,
      models: flags.model,
      expiresAt: flags.expires === undefined ? undefined : timeOf(flags.expires, "expires", Date.now(), "ahead"),
      maxInFlight: flags["max-in-flight"],
      requestsPerMinute: flags["requests-per-minute"],
      requestsPerDay: flags["requests-per-day"],
      tokensPerMinute: flags["tokens-per-minute"],
      tokensPerDay: flags["tokens-per-day"],
      maxStoredMib: flags["max-stored-mib"],
      maxStoredRecords: flags["max-stored-records"],
      priority: flags.priority,
      weight: flags.weight === undefined ? undefined : positive(flags.weight),
    };
    const settings = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const made = await keys.create({ name: args.name, ...settings });
    this.say(`The key of ${args.name}, which cannot be shown again:`);
    this.log(made.secret);
    return made;
  }
}
