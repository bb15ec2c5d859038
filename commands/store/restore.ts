import { resolve } from "node:path";
import { Args } from "@oclif/core";
import { loadConfig } from "../../src/config/load.ts";
import { acquireLock } from "../../src/core/daemon-lock.ts";
import { AssistantError } from "../../src/core/errors.ts";
import type { RestoreResult } from "../../src/store/sqlite/restore.ts";
import { storeDirectory } from "../../src/store/stores.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { showProgress } from "../support/cli/progress.ts";

export default class StoreRestore extends BaseCommand {
  static override summary = "Restore the store from a backup";
  static override description =
    "The daemon must not be running. The backup is copied and checked first; " +
    "the current store is kept under another name.";
  static override examples = [
    { description: "Restore", command: "<%= config.bin %> store restore /var/backups/assistant-2027-01-31" },
  ];
  static override args = {
    directory: Args.string({ required: true, description: "directory created by `store backup`" }),
  };

  async run(): Promise<RestoreResult> {
    const { args, flags } = await this.parse(StoreRestore);
    const { env, paths } = this.context(flags);
    const { cluster } = await loadConfig({ env, configFile: paths.configFile });
    if (cluster !== null)
      throw new AssistantError("usage", "The records are in Redis, which no command here restores.", {
        remedy: "Restore Redis itself from its append-only files or snapshot.",
      });
    // No daemon starts meanwhile.
    const lock = await acquireLock(paths.dataDir);
    try {
      using _ = this.jsonEnabled() ? null : showProgress(process.stderr, "restoring the store");
      const { restore } = await import("../../src/store/sqlite/restore.ts");
      const result = await restore(resolve(args.directory), storeDirectory(paths), new Date());
      this.log(`Restored ${result.directory} with ${result.blobs} file contents.`);
      if (result.replaced !== null)
        this.log(`The previous store is now ${result.replaced}; delete it when it is no longer needed.`);
      return result;
    } finally {
      await lock.release();
    }
  }
}
