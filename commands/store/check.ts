import { BaseCommand } from "../support/cli/base-command.ts";
import { showProgress } from "../support/cli/progress.ts";
import { visitStore } from "../support/store/visit.ts";

export default class StoreCheck extends BaseCommand {
  static override summary = "Check the integrity of the store";
  static override description =
    "Reads all records and files, even while the daemon is running. In a cluster, " +
    "checks whether Redis is configured to persist acknowledged writes. Changes nothing. " +
    "Exits with 1 if there is a problem.";
  static override examples = [{ description: "Check it", command: "<%= config.bin %> store check" }];

  async run(): Promise<{ readonly location: string; readonly problems: readonly string[] }> {
    const { flags } = await this.parse(StoreCheck);
    await using visit = await visitStore(this.context(flags));
    const { location } = visit.store;
    let problems: readonly string[];
    {
      using _ = this.jsonEnabled() ? null : showProgress(process.stderr, "checking the store");
      problems = [...new Set([...visit.store.problems, ...(await visit.store.check())])];
    }
    for (const problem of problems) this.log(problem);
    if (problems.length === 0) this.log(`${location} is sound.`);
    else process.exitCode = 1;
    return { location, problems };
  }
}
