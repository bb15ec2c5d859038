import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { generatedParts, pipelineParts, withGeneratedParts } from "../../../src/config/docs.ts";
import { schemaNode } from "../../../src/config/schema/kit.ts";
import { MainFile } from "../../../src/config/schema/main.ts";
import { ModelFile } from "../../../src/config/schema/model.ts";
import { parseToml } from "../../../src/config/toml.ts";
import { validate } from "../../../src/config/validate.ts";

const page = await readFile(new URL("../../../docs/configuration.md", import.meta.url), "utf8");

it("docs/configuration.md is what the schema says (node src/config/generate-docs.ts)", () => {
  expect(page).toBe(withGeneratedParts(page));
});

it("docs/pipelines.md is what the schema says (node src/config/generate-docs.ts)", async () => {
  const pipelines = await readFile(new URL("../../../docs/pipelines.md", import.meta.url), "utf8");
  expect(pipelines).toBe(withGeneratedParts(pipelines, pipelineParts()));
});

it("a page without a marker is refused", () => {
  expect(() => withGeneratedParts(page.replace("<!-- end: model-file -->", ""))).toThrow("model-file");
});

it("every key of both files is on the page", () => {
  const text = Object.values(generatedParts()).join("\n");
  for (const root of [schemaNode(MainFile), schemaNode(ModelFile)]) {
    for (const node of Object.values(root.properties ?? {})) {
      for (const [key, facts] of Object.entries(node.items?.properties ?? node.properties ?? {})) {
        expect(text).toContain(`| \`${key}\` |`);
        expect(facts.description, key).toBeTruthy();
      }
    }
  }
});

it("the page's examples are valid", () => {
  const examples = [...page.matchAll(/```toml\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
  expect(examples).toHaveLength(2);
  for (const [index, schema] of [MainFile, ModelFile].entries()) {
    expect(
      validate(schemaNode(schema), parseToml("example.toml", examples[index] ?? ""), (path, message) =>
        expect.fail(`${path.join(".")}: ${message}`),
      ),
    ).toBe(true);
  }
});
