import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { errorCatalogue } from "../../../src/core/errors.ts";

const pageFile = fileURLToPath(new URL("../../../docs/errors.md", import.meta.url));

/** The table of docs/errors.md as the catalogue says it must be. `vitest -u` writes the page anew. */
function page(): string {
  const rows = Object.entries(errorCatalogue).map(
    ([code, { status, type, exit, retry, about }]) =>
      `| \`${code}\` | ${status} | \`${type}\` | ${exit} | ${retry ? "yes" : "no"} | ${about} |`,
  );
  return `# Errors

Generated from \`src/core/errors.ts\`; a test compares the two.

Every error has a code, the same everywhere: in the \`error.code\` of an HTTP answer, in the log, and in what a command
prints. Answers have OpenAI's shape:

\`\`\`json
{"error": {"message": "…", "type": "invalid_request_error", "param": "messages", "code": "invalid_request", "remedy": "…", "request_id": "req_…"}}
\`\`\`

\`message\` says what was expected and what was found, \`param\` names the field or option (or is \`null\`), \`remedy\`, where
there is one, says what to do. \`Retry-After\` comes with every 429 and 503. In a stream whose answer has begun the same
object arrives as an event, \`data: {"error": …}\`, and the connection ends.

| code | HTTP | type | exit code of a command | worth a retry | meaning |
|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

test("docs/errors.md lists every error as it is", async () => {
  await expect(page()).toMatchFileSnapshot(pageFile);
  expect(await readFile(pageFile, "utf8")).toBe(page());
});
