import { resolve } from "node:path";
import { Args } from "@oclif/core";
import { AssistantError } from "../../src/core/errors.ts";
import type { BackupResult } from "../../src/store/sqlite/backup.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { storeDirectory } from "../../src/store/stores.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { showProgress } from "../support/cli/progress.ts";
import { visitStore } from "../support/store/visit.ts";

export default class StoreBackup extends BaseCommand {
  static override summary = "Back up the store to a new directory, even while the daemon is running";
  static override description =
    "The backup contains a consistent snapshot of all records and the contents of files. " +
    "Restore it with `assistant store restore`. The records of a cluster are backed up with Redis.";
  static override examples = [
    { description: "Back up", command: "<%= config.bin %> store backup /var/backups/assistant-2027-01-31" },
  ];
  static override args = {
    directory: Args.string({ required: true, description: "directory that does not exist yet" }),
  };

  async run(): Promise<BackupResult> {
    const { args, flags } = await this.parse(StoreBackup);
    const context = this.context(flags);
    await using visit = await visitStore(context);
    const { store } = visit;
    if (!(store instanceof SqliteStore))
      throw new AssistantError("usage", `The records are in ${store.location}, which no command here copies.`, {
        remedy: "Back up Redis itself: its append-only files, or the snapshot that `redis-cli BGSAVE` writes.",
      });
    using _ = this.jsonEnabled() ? null : showProgress(process.stderr, "copying the store");
    const { backUp } = await import("../../src/store/sqlite/backup.ts");
    const result = await backUp(storeDirectory(context.paths), resolve(args.directory), store);
    this.log(`Copied ${store.location} and ${result.blobs} file contents to ${result.directory}.`);
    return result;
  }
}
