import { loadConfig } from "../../src/config/load.ts";
import type { EngineId } from "../../src/core/model.ts";
import { type EngineChoice, readEngineChoice } from "../../src/engines/choice.ts";
import { createEngines } from "../../src/engines/index.ts";
import { type EngineOrigin, listLlamaServers } from "../../src/engines/llama-server/installation.ts";
import { alignColumns } from "../../src/ui/table.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

interface EngineEntry {
  readonly engine: EngineId;
  /** Whether models with `engine = "auto"` run on it. */
  readonly auto: boolean;
  readonly origin: EngineOrigin | "embedded";
  readonly path: string | null;
  readonly version: string | null;
  readonly backends: readonly string[];
  /** Stops soon after a client has left, also while other clients keep it busy. */
  readonly noticesDepartedClients: boolean;
  /** Why it cannot be used, or null. */
  readonly problem: string | null;
}

interface EngineList {
  readonly auto: EngineId | null;
  readonly choice: EngineChoice;
  readonly engines: readonly EngineEntry[];
}

const originTexts: Record<EngineEntry["origin"], string> = {
  embedded: "comes with Assistant",
  configured: "config.toml",
  chosen: "engine use",
  built: "engine build",
  stock: "engine build --stock",
  path: "PATH",
};

export default class EngineListCommand extends BaseCommand {
  static override summary = "List the engines of this machine";
  static override description = 'The one marked with * runs the models whose engine is "auto".';
  static override examples = [
    { description: "For people", command: "<%= config.bin %> engine list" },
    { description: "For scripts", command: "<%= config.bin %> engine list --json | jq -r .auto" },
  ];

  async run(): Promise<EngineList> {
    const { flags } = await this.parse(EngineListCommand);
    const { env, paths } = this.context(flags);
    const { llamaServerPath } = await loadConfig({ env, configFile: flags.config });
    const pathVariable = env["PATH"] ?? "";
    const engines = createEngines({ paths, llamaServerPath, pathVariable, nodePath: process.execPath });
    const [choice, servers, embedded, auto] = await Promise.all([
      readEngineChoice(paths.enginesDir),
      listLlamaServers(paths, llamaServerPath, pathVariable),
      engines.get("node-llama-cpp").availability(),
      engines.choose({ engine: "auto" }).then(
        (engine) => engine.id,
        () => null,
      ),
    ]);
    const entries: EngineEntry[] = servers.map((found, index) => ({
      engine: "llama-server",
      auto: auto === "llama-server" && index === 0,
      origin: found.origin ?? "path",
      path: found.path,
      ...(found.available ? factsOf(found) : brokenFacts(found.reason)),
    }));
    const embeddedFacts = embedded.available ? factsOf(embedded) : brokenFacts(embedded.reason);
    entries.push({ engine: "node-llama-cpp", auto: auto === "node-llama-cpp", origin: "embedded", path: null, ...embeddedFacts });
    this.#print(entries);
    if (servers.length === 0) this.log("\nThe native engine is faster: `assistant engine build` builds it.");
    return { auto, choice, engines: entries };
  }

  #print(entries: readonly EngineEntry[]): void {
    const rows = entries.map((entry) => [
      entry.auto ? "*" : " ",
      entry.engine,
      entry.version ?? "-",
      entry.backends.join(",") || "-",
      originTexts[entry.origin],
      entry.noticesDepartedClients ? "yes" : "when streaming",
      entry.problem ?? entry.path ?? "-",
    ]);
    for (const line of alignColumns([[" ", "ENGINE", "VERSION", "BACKENDS", "FROM", "STOPS FOR DEPARTED CLIENTS", "PATH"], ...rows])) this.log(line);
  }
}

type Facts = Pick<EngineEntry, "version" | "backends" | "noticesDepartedClients" | "problem">;

const factsOf = (found: { version: string; backends: readonly string[]; noticesDepartedClients: boolean }): Facts => ({
  version: found.version,
  backends: found.backends,
  noticesDepartedClients: found.noticesDepartedClients,
  problem: null,
});

const brokenFacts = (reason: string): Facts => ({ version: null, backends: [], noticesDepartedClients: false, problem: reason });
