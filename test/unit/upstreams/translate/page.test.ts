import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fieldUses } from "../../../../src/upstreams/translate/fields.ts";

test("docs/providers.md says what becomes of each field of a chat", () => {
  const page = readFileSync(new URL("../../../../docs/providers.md", import.meta.url), "utf8");
  const rows = Object.entries(fieldUses).map(
    ([name, { anthropic, google }]) => `| \`${name}\` | ${anthropic ?? "refused"} | ${google ?? "refused"} |`,
  );
  const table = page.slice(page.indexOf("<!-- fields -->"), page.indexOf("<!-- end of fields -->"));
  expect(table.trim().split("\n").slice(1)).toEqual(rows);
});
