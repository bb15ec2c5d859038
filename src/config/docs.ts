import type { TSchema } from "typebox";
import { environmentVariables } from "./environment.ts";
import type { SchemaNode } from "./schema/kit.ts";
import { schemaNode } from "./schema/kit.ts";
import { MainFile } from "./schema/main.ts";
import { ModelFile } from "./schema/model.ts";
import { commonStageKeys } from "./schema/pipelines.ts";
import { sourceSchemas, stageSchemas } from "./schema/stages.ts";
import { expectation } from "./validate.ts";

/** The parts of docs/configuration.md that are generated from the schema, by the name of their marker. */
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

/** The page with its generated parts updated. Throws if a marker is missing. */
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

/** Fewer keys that a section shares with an earlier one are written again. */
const MIN_SHARED_KEYS = 5;

/** One heading and table per section. Keys that an earlier section has in the same words are named only. */
function sections(root: SchemaNode): string {
  const earlier: { readonly heading: string; readonly rows: ReadonlyMap<string, string> }[] = [];
  return Object.entries(root.properties ?? {})
    .map(([name, node]) => {
      const heading = headingOf(name, node);
      const keys = Object.entries(node.items?.properties ?? node.properties ?? {})
        // Keys that do nothing yet are no reading matter; the table of the reference's keys has them.
        .filter(([, key]) => !key.description?.startsWith("No effect"))
        .map(([key, facts]) => ({ key, rows: keyRows(key, facts) }));
      const textOf = new Map(keys.map(({ key, rows }) => [key, JSON.stringify(rows)]));
      const references: string[] = [];
      let own = keys;
      for (const { heading: there, rows } of earlier) {
        const shared = own.filter(({ key }) => rows.get(key) === textOf.get(key));
        if (shared.length < MIN_SHARED_KEYS) continue;
        references.push("", `As in ${there}: ${shared.map(({ key }) => code(key)).join(", ")}.`);
        own = own.filter((one) => !shared.includes(one));
      }
      earlier.push({ heading, rows: textOf });
      const rows = own.flatMap((one) => one.rows);
      const body = rows.length === 0 ? [] : ["", table(["key", "takes", "default", "meaning"], rows)];
      return [`### ${heading}`, node.description ?? "", ...body, ...references].join("\n");
    })
    .join("\n\n");
}

const headingOf = (name: string, node: SchemaNode): string =>
  node.items === undefined ? `\`[${name}]\`` : `\`[[${name}]]\``;

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

/** Sections that the reference system does not have. */
const OWN_SECTIONS = new Set(["rerank", "image", "transcription"]);

/** Rows of the table of the reference system's keys, one table per section. */
function specRows(root: SchemaNode, file: string): string[] {
  return Object.entries(root.properties ?? {}).flatMap(([name, node]) => {
    if (OWN_SECTIONS.has(name)) return [];
    const keys = Object.entries(node.items?.properties ?? node.properties ?? {}).filter(
      ([, key]) => key.spec !== undefined,
    );
    if (keys.length === 0) return [];
    return [
      `**${file}, ${headingOf(name, node)}**`,
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
