import { readdir } from "node:fs/promises";
import type { Command } from "@oclif/core";
import { expect, test } from "vitest";
import { commandsPage, type DocumentedCommand } from "../../../../../commands/support/cli/commands-page.ts";

const folder = new URL("../../../../../commands/", import.meta.url);

async function allCommands(): Promise<DocumentedCommand[]> {
  const files = (await readdir(folder, { recursive: true })).filter(
    (file) => file.endsWith(".ts") && !file.startsWith("support/"),
  );
  return Promise.all(
    files.map(async (file) => {
      const module = (await import(new URL(file, folder).href)) as { default: Command.Class };
      return { name: file.replace(/\.ts$/u, "").replaceAll("/", " "), command: module.default };
    }),
  );
}

test("docs/commands.md says what the command objects say (vitest -u writes it anew)", async () => {
  await expect(commandsPage(await allCommands(), "assistant")).toMatchFileSnapshot("../../../../../docs/commands.md");
});

test("every command has a summary and an example that calls it", async () => {
  for (const { name, command } of await allCommands()) {
    expect(command.summary, name).toBeTruthy();
    const examples = (command.examples ?? []).map((example) =>
      typeof example === "string" ? example : example.command,
    );
    expect(
      examples.some((example) => example.replaceAll("<%= config.bin %>", "assistant").includes(`assistant ${name}`)),
      `an example of ${name}`,
    ).toBe(true);
  }
});
