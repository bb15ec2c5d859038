/**
 * Checks texts against JSON Schemas, in a thread: a pattern may never finish, and must not block the daemon. Receives
 * `CheckRequest`s and responds to each with a `CheckAnswer`.
 */
import { parentPort } from "node:worker_threads";
import { Ajv, type ErrorObject } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { type CheckAnswer, type CheckRequest, THREAD_READY } from "./checker.ts";

const MAX_NAMED = 5;
const OLDER = /draft-0[4-7]/;

parentPort?.on("message", (request: CheckRequest) => {
  parentPort?.postMessage(problemOf(request));
});
parentPort?.postMessage(THREAD_READY);

function problemOf({ schema, text }: CheckRequest): CheckAnswer {
  // `$async` is Ajv's own: it would return a promise, which is not a result.
  const { $schema: dialect, $id: _, $async: __, ...rest } = schema;
  const Dialect = typeof dialect === "string" && OLDER.test(dialect) ? Ajv : Ajv2020;
  const ajv = new Dialect({ strict: false, allErrors: false, logger: false });
  formats.default(ajv);
  let validate: ReturnType<typeof ajv.compile>;
  try {
    validate = ajv.compile(rest);
  } catch (error) {
    return `the JSON Schema cannot be used: ${(error as Error).message}`;
  }
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `the answer is not JSON: ${(error as Error).message}`;
  }
  return validate(value)
    ? null
    : `the answer does not match: ${(validate.errors ?? []).slice(0, MAX_NAMED).map(shown).join("; ")}`;
}

const shown = ({ instancePath, message }: ErrorObject): string =>
  `${instancePath === "" ? "it" : instancePath} ${message ?? "is wrong"}`;
