import type { TSchema } from "typebox";
import { environmentVariables } from "./environment.ts";
import type { SchemaNode } from "./schema/kit.ts";
import { schemaNode } from "./schema/kit.ts";
import { MainFile } from "./schema/main.ts";
import { ModelFile } from "./schema/model.ts";
import { commonStageKeys } from "./schema/pipelines.ts";
import { sourceSchemas, stageSchemas } from "./schema/stages.ts";
import { expectation } from "./validate.ts";

/** The parts of docs/configuration.md that are made from the schema, by the name of their marker. */
export function generatedParts(): Readonly<Record<string, string>> {
  return {
    "main-file": sections(schemaNode(MainFile)),
    "model-file": sections(schemaNode(ModelFile)),
    "reference-keys": [
      ...specRows(schemaNode(MainFile), "config.toml"),
      ...specRows(schemaNode(ModelFile), "model file"),
    ].join("\n"),
    environment: table(
      ["variable", "overrides", "meaning"],
      environmentVariables.map(({ name, key, about }) => [
        name.split(", ").map(code).join(", "),
        key === null ? "" : code(key),
        about,
      ]),
    ),
  };
}

/** Those of docs/pipelines.md. */
export function pipelineParts(): Readonly<Record<string, string>> {
  const kinds = (schemas: Readonly<Record<string, TSchema>>, common: ReadonlySet<string>): string =>
    Object.entries(schemas)
      .map(([kind, schema]) => {
        const keys = Object.entries(schemaNode(schema).properties ?? {}).filter(([key]) => !common.has(key));
        const rows = keys.flatMap(([key, facts]) => keyRows(key, facts));
        return `### `.concat("`", kind, "`\n\n", table(["key", "takes", "default", "meaning"], rows));
      })
      .join("\n\n");
  return {
    stages: kinds(stageSchemas, new Set(Object.keys(commonStageKeys))),
    sources: kinds(sourceSchemas, new Set(["use"])),
  };
}

/** The page with its generated parts made anew. Throws if a marker is missing. */
export function withGeneratedParts(page: string, parts = generatedParts()): string {
  let text = page;
  for (const [name, content] of Object.entries(parts)) {
    const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from === -1 || to < from) throw new Error(`the page lacks the markers ${begin} and ${end}`);
    text = `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`;
  }
  return text;
}

/** One heading and table per section. */
function sections(root: SchemaNode): string {
  return Object.entries(root.properties ?? {})
    .map(([name, node]) => {
      const heading = node.items === undefined ? `### \`[${name}]\`` : `### \`[[${name}]]\``;
      const keys = node.items?.properties ?? node.properties ?? {};
      // Sections that do nothing yet are no reading matter; the table of the reference's keys has them.
      const rows = Object.entries(keys).filter(([, key]) => !key.description?.startsWith("No effect"));
      const body =
        rows.length === 0
          ? []
          : [
              "",
              table(
                ["key", "takes", "default", "meaning"],
                rows.flatMap(([key, facts]) => keyRows(key, facts)),
              ),
            ];
      return [heading, node.description ?? "", ...body].join("\n");
    })
    .join("\n\n");
}

function keyRows(key: string, node: SchemaNode): string[][] {
  const row = [
    code(key),
    `${expectation(node)}${node.unit === undefined ? "" : ` (${node.unit})`}`,
    defaultOf(node),
    node.description ?? "",
  ];
  const inner = Object.entries(node.items?.properties ?? {}).map(([name, facts]) => [
    `${code(key)} ${code(name)}`,
    expectation(facts),
    defaultOf(facts),
    facts.description ?? "",
  ]);
  return [row, ...inner];
}

function defaultOf(node: SchemaNode): string {
  if (node.required) return "required";
  if (node.defaultText !== undefined) return node.defaultText;
  return node.default === undefined ? "none" : code(JSON.stringify(node.default));
}

/** Rows of the table of the reference system's keys, one table per section. */
function specRows(root: SchemaNode, file: string): string[] {
  return Object.entries(root.properties ?? {}).flatMap(([name, node]) => {
    const keys = Object.entries(node.items?.properties ?? node.properties ?? {}).filter(
      ([, key]) => key.spec !== undefined,
    );
    if (keys.length === 0) return [];
    const title = `**${file}, ${node.items === undefined ? `\`[${name}]\`` : `\`[[${name}]]\``}**`;
    return [
      title,
      "",
      table(
        ["key", "its default", "what it becomes"],
        keys.map(([key, { spec }]) => [code(key), spec?.value == null ? "" : code(spec.value), spec?.becomes ?? ""]),
      ),
      "",
    ];
  });
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

const code = (text: string): string => `\`${text}\``;
