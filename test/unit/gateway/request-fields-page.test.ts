import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fieldTable } from "../../../src/gateway/canonical/field-table.ts";
import { MAX_DEPTH } from "../../../src/gateway/canonical/json-text.ts";

const pageFile = fileURLToPath(new URL("../../../docs/request-fields.md", import.meta.url));
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** The table of docs/request-fields.md as the fields say it must be. `vitest -u` writes the page anew. */
function page(): string {
  const rows = Object.entries(fieldTable).flatMap(([name, variants]) =>
    variants.map(({ operations, expected, about, required, remedy }) => {
      const takes = remedy === undefined ? `${expected}${required ? "; required" : ""}` : "refused";
      return `| \`${name}\` | ${operations.join(", ")} | ${cell(takes)} | ${cell(about)}${remedy === undefined ? "" : ` ${remedy}`} |`;
    }),
  );
  return `# Fields of requests

Generated from \`src/gateway/canonical/field-table.ts\`; a test compares the two. It is about llama.cpp's engines: programs that \`engine = "command"\` runs
get requests as they are.

A field of a wrong type or out of bounds is refused with 400 \`invalid_request\`, which names it in \`param\`. \`null\` stands for a field that
is not given. Fields that are not listed reach the engine as they are. A body has at most ${MAX_DEPTH} objects and arrays within each other, known
field or not, and about 4,000,000 values, of which an object, a list and each name count for 16, and each character of white space outside of texts for one; else it is refused with \`invalid_json\`.

Text that is no Unicode (bytes that are not UTF-8, an escaped half of a surrogate pair) becomes U+FFFD. Images and sound are sent in the
request, as \`data:\` URLs; addresses are not fetched. A \`tool_choice\` that names a function is sent on as that one tool and \`required\`.

**JSON Schema** in \`json_schema\`, \`response_format\` and in tools that are \`strict\`: what a grammar cannot enforce is refused, with the keyword and its
path. That is \`multipleOf\`, bounds of numbers that are not integers, \`uniqueItems\`, \`contains\`, \`minProperties\`, \`patternProperties\`, \`not\`, \`if\`,
formats other than \`date\`, \`time\`, \`date-time\` and \`uuid\`, keywords beside \`$ref\`, \`anyOf\`, \`enum\` or \`const\`, and the like. A \`pattern\` may match anywhere in
a text and use classes such as \`\\d\`; look-around, word boundaries and back references are refused. References are to the same schema, \`#\` included.
Answers are stricter than the schema in two ways: objects have no properties that are not listed, unless \`additionalProperties\` allows them,
and properties come in the schema's order.

| field | of | takes | meaning |
|---|---|---|---|
${rows.join("\n")}
`;
}

test("docs/request-fields.md lists every field as it is checked", async () => {
  await expect(page()).toMatchFileSnapshot(pageFile);
  expect(await readFile(pageFile, "utf8")).toBe(page());
});
