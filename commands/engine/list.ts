import { loadConfig } from "../../src/config/load.ts";
import type { EngineAvailability } from "../../src/core/engine.ts";
import type { EngineId } from "../../src/core/model.ts";
import { type EngineChoice, readEngineChoice } from "../../src/engines/choice.ts";
import { type EngineInstallation, listEngines } from "../../src/engines/list.ts";
import { readBackgroundBuild } from "../../src/engines/llama-server/build/background.ts";
import { migrateBuilds } from "../../src/engines/llama-server/builds.ts";
import { alignColumns } from "../../src/ui/table.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { engineFolder } from "../support/stores.ts";

interface EngineEntry extends Omit<EngineInstallation, "availability"> {
  readonly version: string | null;
  readonly backends: readonly string[];
  /** Stops soon after a client disconnects, also while other clients keep it busy. */
  readonly noticesDisconnects: boolean;
  /** Why it cannot be used, or null. */
  readonly problem: string | null;
  /** What it was built with that a new build would not be, or null. */
  readonly outdated: string | null;
}

interface EngineList {
  /** How far the build in the background is, or null. */
  readonly building: string | null;
  readonly auto: EngineId | null;
  readonly choice: EngineChoice;
  readonly engines: readonly EngineEntry[];
}

const originTexts: Record<EngineEntry["origin"], string> = {
  embedded: "comes with Assistant",
  configured: "config.toml",
  chosen: "engine use",
  built: "engine build",
  "other build": "earlier build",
  path: "PATH",
};

export default class EngineListCommand extends BaseCommand {
  static override summary = "List the engines of this machine";
  static override description =
    'The one marked with * runs models with `engine = "auto"`. `assistant engine use BUILD` selects another build, `assistant engine rm BUILD` deletes one.';
  static override examples = [
    { description: "List them", command: "<%= config.bin %> engine list" },
    {
      description: 'Name of the engine that "auto" selects, for scripts',
      command: "<%= config.bin %> engine list --json | jq -r .auto",
    },
  ];

  async run(): Promise<EngineList> {
    const { flags } = await this.parse(EngineListCommand);
    const { env, paths } = this.context(flags);
    const { llamaServerPath } = await loadConfig({ env, configFile: flags.config });
    const folder = engineFolder(paths);
    // Another user's data directory is only read.
    await migrateBuilds(paths.enginesDir).catch(() => {});
    const options = { folder, llamaServerPath, pathVariable: env["PATH"] ?? "", nodePath: process.execPath };
    const [choice, { auto, all }] = await Promise.all([readEngineChoice(folder), listEngines(options)]);
    const engines = all.map(
      ({ availability, ...installation }): EngineEntry => ({ ...installation, ...factsOf(availability) }),
    );
    this.#print(engines);
    const background = await readBackgroundBuild(folder.choices);
    const building = background?.state === "running" ? background.progress : null;
    if (building !== null) this.log(`\nThe native engine is being built in the background: ${building}.`);
    else if (all.every(({ origin }) => origin === "embedded"))
      this.log("\nThe native engine is faster: `assistant engine build` builds it.");
    const used = all.find(({ auto }) => auto)?.availability;
    if (used?.available === true && used.outdated !== undefined)
      this.log(`\nThe engine in use was built with ${used.outdated.parts}. ${used.outdated.remedy}`);
    return { building, auto, choice, engines };
  }

  #print(entries: readonly EngineEntry[]): void {
    const rows = entries.map((entry) => [
      entry.auto ? "*" : " ",
      entry.engine,
      entry.version ?? "-",
      entry.backends.join(",") || "-",
      originTexts[entry.origin],
      entry.build ?? "-",
      entry.noticesDisconnects ? "yes" : "when streaming",
      entry.problem ?? entry.path ?? "-",
    ]);
    for (const line of alignColumns([
      [" ", "ENGINE", "VERSION", "BACKENDS", "FROM", "BUILD", "STOPS ON DISCONNECT", "PATH"],
      ...rows,
    ]))
      this.log(line);
  }
}

type Facts = Pick<EngineEntry, "version" | "backends" | "noticesDisconnects" | "problem" | "outdated">;

const factsOf = (found: EngineAvailability): Facts =>
  found.available
    ? {
        version: found.version,
        backends: found.backends,
        noticesDisconnects: found.noticesDisconnects,
        problem: null,
        outdated: found.outdated?.parts ?? null,
      }
    : { version: null, backends: [], noticesDisconnects: false, problem: found.reason, outdated: null };
