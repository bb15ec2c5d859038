import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Command, Config, flush, type Interfaces, run, settings } from "@oclif/core";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { printableJson } from "../../../src/ui/printable.ts";
import { showsColour } from "./colour.ts";
import { loadContext } from "./context.ts";
import { reportJson, reportText, toReportable } from "./report.ts";

const COMMANDS = "dist/commands";
/** Folder among the commands that holds what they share; package.json keeps it from oclif. */
const SUPPORT = "support";

/** Short forms that oclif does not know, made into what it does. Everything behind `--` stays as it is. */
export function normaliseArguments(argv: readonly string[]): string[] {
  const end = argv.indexOf("--");
  const own = end === -1 ? [...argv] : argv.slice(0, end);
  const rest = end === -1 ? [] : argv.slice(end);
  // As a plain alias, oclif would search for it in all commands.
  if (own[0] === "ls") own[0] = "list";
  if (own[0] === "--model-config") return ["init", ...own, "--stdout", ...rest];
  return [
    ...own.map((argument, index) => {
      if (argument === "-h" && index <= 2) return "--help";
      // Without an id it begins one; what follows is the model, a prompt, or another flag.
      const begins = own[0] === "run" && argument === "--conversation" && !own[index + 1]?.startsWith("conv_");
      return begins ? "--conversation=new" : argument;
    }),
    ...rest,
  ];
}

/** The sentence for a command that does not exist, with the names that come near. */
export function unknownCommand(id: string, known: readonly string[]): AssistantError {
  const given = id.replaceAll(":", " ");
  const [nearest, ...others] = nearestNames(
    given,
    known.map((name) => name.replaceAll(":", " ")),
  );
  const guess =
    nearest === undefined ? "" : `Did you mean \`assistant ${[nearest, ...others].join("`, `assistant ")}\`? `;
  return new AssistantError("usage", `There is no command \`${given}\`.`, {
    param: given,
    remedy: `${guess}\`assistant help\` lists all commands.`,
  });
}

/** Runs one command line to its end. Sets `process.exitCode`; prints every error itself and never throws. */
export async function main(argv: readonly string[], root: URL): Promise<void> {
  // Before oclif's own, which throws.
  process.stdout.prependListener("error", endWithoutOutput);
  process.stderr.prependListener("error", endWithoutOutput);
  settings.enableAutoTranspile = false;
  const args = normaliseArguments(argv);
  try {
    await runCommand(args, fileURLToPath(root));
    await flush();
  } catch (thrown) {
    const error = toReportable(thrown);
    process.exitCode = error.exitCode;
    if (args.includes("--json")) process.stdout.write(`${printableJson(JSON.stringify(reportJson(error), null, 2))}\n`);
    else
      process.stderr.write(
        reportText(error, { colour: showsColour(process.stderr), debug: loadContext({ configFile: null }).debug }),
      );
  }
}

/** Runs the command that the first words name. Throws `usage` for a command line that names none. */
async function runCommand(args: readonly string[], root: string): Promise<void> {
  const pjson = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as Interfaces.PJSON;
  const load = (oclif: Interfaces.PJSON["oclif"]): Promise<Config> =>
    Config.load({ root, userPlugins: false, pjson: { ...pjson, oclif } });
  const file = commandFile(args, join(root, COMMANDS));
  if (file === null) {
    const config = await load(pjson.oclif);
    if (!namesCommand(args, config)) {
      const given = args.slice(0, config.findTopic(args[0] ?? "") === undefined ? 1 : 2).join(" ");
      throw unknownCommand(given, config.commandIDs);
    }
    await run([...args], config);
    return;
  }
  const { commands: _, ...oclif } = pjson.oclif;
  const words = file.replace(/\.js$/u, "").split("/");
  if (asksForHelp(args)) {
    const commands = { strategy: "pattern" as const, target: COMMANDS, globPatterns: [file] };
    await run([...args], await load({ ...oclif, plugins: [], commands }));
    return;
  }
  // oclif itself would search the directory for it: a tenth of what `assistant version` takes.
  const module = (await import(pathToFileURL(join(root, COMMANDS, file)).href)) as { readonly default: Command.Class };
  const command = module.default;
  command.id = words.join(":");
  await command.run(args.slice(words.length), await load({ ...oclif, plugins: [] }));
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end === -1 ? args : args.slice(0, end)).includes("--help");
}

/**
 * The file of the command named by the first words, relative to `directory`; null if they name none. Only this one is
 * then loaded: all of them take 0.3 s. A manifest would do the same, but would be stale after an edit.
 */
export function commandFile(args: readonly string[], directory: string): string | null {
  const [first = "", second = ""] = args;
  const word = /^[a-z][a-z-]*$/u;
  if (!word.test(first) || first === SUPPORT) return null;
  if (word.test(second) && existsSync(join(directory, first, `${second}.js`))) return `${first}/${second}.js`;
  return existsSync(join(directory, `${first}.js`)) ? `${first}.js` : null;
}

/**
 * Whether the first words are a command or a topic. oclif itself would show a topic's help for a misspelt subcommand.
 */
function namesCommand(args: readonly string[], config: Config): boolean {
  const [first, second] = args;
  if (first === undefined || first === "--help" || first === "--version" || config.commandIDs.includes(first))
    return true;
  if (config.findTopic(first) === undefined) return false;
  return second === undefined || second.startsWith("-") || config.commandIDs.some((id) => id === `${first}:${second}`);
}

/** A reader that has seen enough (`| head`) is not an error; other failures to write the output are. */
function endWithoutOutput(this: NodeJS.WriteStream, thrown: NodeJS.ErrnoException): never {
  if (thrown.code === "EPIPE") process.exit(process.exitCode ?? 0);
  const error = new AssistantError(
    thrown.code === "ENOSPC" ? "disk_full" : "not_writable",
    `The output cannot be written: ${thrown.message}.`,
    { cause: thrown },
  );
  if (this !== process.stderr) process.stderr.write(reportText(error, { colour: false, debug: false }));
  process.exit(error.exitCode);
}
