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

Every error has a code, which is the same in the \`error.code\` of an HTTP response, in the log, and in the output of a
command. HTTP responses have OpenAI's shape:

\`\`\`json
{"error": {"message": "…", "type": "invalid_request_error", "param": "messages", "code": "invalid_request", "remedy": "…", "request_id": "req_…"}}
\`\`\`

\`message\` says what was expected and what was found, \`param\` names the field or option (or is \`null\`), and \`remedy\`, if
present, says what to do. Every 429 and 503 has a \`Retry-After\` header. If a stream has already begun, the same object is
sent as an event, \`data: {"error": …}\`, and the connection is closed.

| code | HTTP | type | exit code of commands | retry | meaning |
|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

test("docs/errors.md lists every error as it is", async () => {
  await expect(page()).toMatchFileSnapshot(pageFile);
  expect(await readFile(pageFile, "utf8")).toBe(page());
});
