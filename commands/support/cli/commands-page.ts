import type { Command } from "@oclif/core";

/** A command and the words that call it, such as `engine list`. */
export interface DocumentedCommand {
  readonly name: string;
  readonly command: Command.Class;
}

interface DescribedFlag {
  readonly type: string;
  readonly char?: string | undefined;
  readonly helpValue?: string | readonly string[] | undefined;
  readonly description?: string | undefined;
  readonly summary?: string | undefined;
  readonly default?: unknown;
  readonly options?: readonly string[] | undefined;
  readonly allowNo?: boolean | undefined;
}

const INTRODUCTION = `# Commands

This page is generated from the commands; a test keeps it up to date. \`assistant help COMMAND\` prints the same in a terminal.

All commands accept \`--config FILE\`, which selects the configuration file, and \`--help\`. Commands that print data accept \`--json\`,
which prints it as JSON; errors are then printed to standard output as \`{"error": {"code", "message", "remedy"}}\`.

Exit codes: 0 success · 1 failure · 2 invalid arguments · 3 daemon not running · 4 model or instance not found · 5 engine not available ·
70 bug in Assistant · 78 invalid configuration · 130 interrupted.
`;

/** docs/commands.md: every command with usage, arguments, options and examples, in the order of their names. Pure. */
export function commandsPage(commands: readonly DocumentedCommand[], bin: string): string {
  const sorted = [...commands].sort((a, b) => a.name.localeCompare(b.name));
  return [INTRODUCTION, ...sorted.map((entry) => section(entry, bin))].join("\n");
}

function section({ name, command }: DocumentedCommand, bin: string): string {
  const flags = Object.entries((command.flags ?? {}) as unknown as Record<string, DescribedFlag>);
  const args = Object.entries(command.args ?? {}).map(
    ([key, arg]) => `| \`${key.toUpperCase()}\` | ${cell(arg.description ?? "")} |`,
  );
  const options = flags.map(([key, flag]) => `| ${flagName(key, flag)} | ${flagText(flag)} |`);
  const examples = (command.examples ?? []).map((example) => exampleText(example, bin));
  return [
    `## ${bin} ${name}`,
    "",
    command.summary ?? "",
    "",
    ...(command.description === undefined ? [] : [command.description.replaceAll("<%= config.bin %>", bin), ""]),
    "```",
    usage(name, command, bin),
    "```",
    "",
    ...(args.length === 0 ? [] : ["| argument | |", "|---|---|", ...args, ""]),
    ...(options.length === 0 ? [] : ["| option | |", "|---|---|", ...options, ""]),
    ...(examples.length === 0 ? [] : ["```sh", ...examples, "```", ""]),
  ].join("\n");
}

function usage(name: string, command: Command.Class, bin: string): string {
  if (typeof command.usage === "string") return `${bin} ${command.usage}`;
  const args = Object.entries(command.args ?? {}).map(([key, arg]) =>
    arg.required === true ? key.toUpperCase() : `[${key.toUpperCase()}]`,
  );
  return [bin, name, ...args, ...(Object.keys(command.flags ?? {}).length > 0 ? ["[OPTIONS]"] : [])].join(" ");
}

function flagName(key: string, flag: DescribedFlag): string {
  const value = flag.type === "boolean" ? "" : ` ${flag.options?.join("\\|") ?? flag.helpValue ?? "VALUE"}`;
  const long = flag.type === "boolean" && flag.allowNo === true ? `--[no-]${key}` : `--${key}`;
  return `\`${flag.char === undefined ? "" : `-${flag.char}, `}${long}${value}\``;
}

function flagText(flag: DescribedFlag): string {
  const text = cell(flag.summary ?? flag.description ?? "");
  const isPlain = typeof flag.default === "string" || typeof flag.default === "number";
  return isPlain && !text.includes("default") ? `${text} (default: ${String(flag.default)})` : text;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function exampleText(example: Command.Example, bin: string): string {
  const { description, command } = typeof example === "string" ? { description: null, command: example } : example;
  return `${description === null ? "" : `# ${description}\n`}${command.replaceAll("<%= config.bin %>", bin).replaceAll("<%= command.id %>", "")}`;
}
