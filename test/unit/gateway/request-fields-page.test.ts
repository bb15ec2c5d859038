import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fieldTable } from "../../../src/gateway/canonical/field-table.ts";
import { MAX_DEPTH } from "../../../src/gateway/canonical/json-text.ts";

const pageFile = fileURLToPath(new URL("../../../docs/request-fields.md", import.meta.url));
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** The table of docs/request-fields.md as the fields say it must be. `vitest -u` writes the page. */
function page(): string {
  const rows = Object.entries(fieldTable).flatMap(([name, variants]) =>
    variants.map(({ operations, expected, about, required, remedy }) => {
      const takes = remedy === undefined ? `${expected}${required ? "; required" : ""}` : "refused";
      return `| \`${name}\` | ${operations.join(", ")} | ${cell(takes)} | ${cell(about)}${remedy === undefined ? "" : ` ${remedy}`} |`;
    }),
  );
  return `# Request fields

The fields of OpenAI-compatible requests that Assistant checks, as served by the llama.cpp engines. Programs run with \`engine = "command"\` get requests unchanged. This page is generated from \`src/gateway/canonical/field-table.ts\`; a test compares the two.

A field with a wrong type or out of range is refused with 400 \`invalid_request\`, and \`param\` names it. \`null\` means that the field is missing. Fields that are not listed are passed to the engine unchanged. A body may have at most ${MAX_DEPTH} levels of nested objects and arrays, in known fields or not, and about 1,000,000 numbers, 250,000 objects, arrays and names, or 4,000,000 characters of white space outside of strings (counted together: one number costs as much as four characters of white space); otherwise it is refused with \`invalid_json\`, and \`param\` names the field that exceeds the limit.

Invalid Unicode (bytes that are not UTF-8, unpaired surrogate escapes) becomes U+FFFD. Images and audio must be sent in the request as \`data:\` URLs; other URLs are not fetched. A \`tool_choice\` that names a function is sent to the engine as that one tool and \`required\`. A required call replaces the text of an answer, so \`response_format\` and \`json_schema\` have no effect next to it. Together with tools that the model may call (\`tool_choice\` \`auto\` or missing) they are refused: the engines would never call one. With \`parallel_tool_calls\` \`false\`, an answer has at most one call, whatever serves the model.

**JSON Schema** in \`json_schema\`, \`response_format\` and \`strict\` tools: what a grammar cannot enforce is refused, with the keyword and its path. This applies to \`multipleOf\`, bounds of numbers that are not integers, \`uniqueItems\`, \`contains\`, \`minProperties\`, \`patternProperties\`, \`not\`, \`if\`, formats other than \`date\`, \`time\`, \`date-time\`, \`duration\`, \`email\`, \`hostname\`, \`ipv4\`, \`ipv6\`, \`uri\` and \`uuid\`, keywords next to \`$ref\`, \`anyOf\`, \`enum\` or \`const\`, and the like. A \`pattern\` may match anywhere in a string and may use classes such as \`\\d\`; look-around, word boundaries and back references are refused. Next to a \`pattern\`, a \`format\` has no effect. References must be JSON pointers within the same schema, \`#\` included; escapes (\`~0\`, \`~1\`, \`%20\`) are resolved. Answers are stricter than the schema in three ways: objects have no unlisted properties, unless \`additionalProperties\` allows them, properties are in the schema's order, and strings with a format have its common form (a \`uri\` has a host, an \`ipv6\` eight groups).

| field | operation | takes | meaning |
|---|---|---|---|
${rows.join("\n")}
`;
}

test("docs/request-fields.md lists every field as it is checked", async () => {
  await expect(page()).toMatchFileSnapshot(pageFile);
  expect(await readFile(pageFile, "utf8")).toBe(page());
});
