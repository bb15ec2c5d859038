import { ErrorBody } from "../../api/status.ts";
import type { JsonSchema } from "../../core/schema.ts";
import type { RouteDescription } from "./describe.ts";
import type { Entry, TableRow } from "./table.ts";

type Json = Record<string, unknown>;

/** Headers that every inference route supports; `callHeaders` reads them. */
const CALL_HEADERS: readonly (readonly [name: string, schema: JsonSchema, description: string])[] = [
  ["x-request-id", { type: "string", maxLength: 128 }, "The answer repeats it, and the log has it."],
  ["x-assistant-priority", { type: "integer", minimum: 0, maximum: 100 }, "Higher first; 50 by default."],
  [
    "x-assistant-timeout-ms",
    { type: "integer", minimum: 0, maximum: 86_400_000 },
    "An answer that has not begun by then is refused with `deadline_exceeded`.",
  ],
];

const SECURITY = [{ bearer: [] }, { apiKey: [] }, {}];

/** The OpenAPI document of the routes in a table, from their descriptions. `HEAD` and `OPTIONS` are omitted. */
export function openApi(rows: readonly TableRow[], version: string): Json {
  const schemas: Json = {};
  const paths: Record<string, Json> = {};
  for (const row of rows) {
    if (row.method === "HEAD") continue;
    const path = row.path.replace(/:(\w+)/g, "{$1}").replace("*", "{name}");
    paths[path] = { ...paths[path], [row.method.toLowerCase()]: operation(row, path, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Assistant",
      version,
      description:
        "The HTTP API of the daemon. `HEAD` works where `GET` does. A key is required if keys are configured; " +
        "routes with `x-scope` `admin` always require one over the network.",
    },
    servers: [{ url: "/" }],
    tags: [...new Set(rows.map(({ entry }) => entry.door.name))].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        apiKey: { type: "apiKey", in: "header", name: "x-api-key" },
      },
    },
  };
}

function operation({ method, path: written, entry }: TableRow, path: string, schemas: Json): Json {
  const { door, scope, inference } = entry;
  const said: RouteDescription = entry.describe ?? { summary: path };
  const aliasOf = inference !== null && inference.name !== written ? inference.name : null;
  const description = [said.description, aliasOf === null ? undefined : `The same as \`${aliasOf}\`.`];
  const text = description.filter((each) => each !== undefined).join(" ");
  return {
    tags: [door.name],
    operationId: `${method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+(\w?)/g, (_, next: string) => next.toUpperCase())}`,
    summary: said.summary,
    ...(text === "" ? {} : { description: text }),
    "x-scope": scope,
    security: scope === null ? [] : SECURITY,
    parameters: parametersOf(path, said, entry),
    ...(said.body === undefined
      ? {}
      : {
          requestBody: {
            required: said.bodyOptional !== true,
            content: { [said.bodyType ?? "application/json"]: { schema: named(said.body, schemas) } },
          },
        }),
    responses: {
      [said.status ?? 200]: success(said, schemas),
      default: {
        description: "An error",
        content: { "application/json": { schema: named(door.errorSchema ?? ERROR, schemas) } },
      },
    },
  };
}

const ERROR: JsonSchema = { ...(ErrorBody as unknown as JsonSchema), title: "Error" };

function success(
  { status = 200, answers = { "application/json": { type: "object" } } }: RouteDescription,
  to: Json,
): Json {
  if (status === 204 || Object.keys(answers).length === 0) return { description: "Done" };
  const content = Object.entries(answers).map(([type, schema]) => [type, { schema: named(schema, to) }] as const);
  return { description: "Success", content: Object.fromEntries(content) };
}

function parametersOf(path: string, { params, query }: RouteDescription, { inference }: Entry): Json[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    ...(name === "name" ? { description: "May hold slashes." } : {}),
    schema: propertiesOf(params)[name] ?? { type: "string" },
  }));
  const required = (query?.["required"] ?? []) as readonly string[];
  const inQuery = Object.entries(propertiesOf(query)).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }));
  const headers = inference === null ? [] : CALL_HEADERS;
  return [
    ...inPath,
    ...inQuery,
    ...headers.map(([name, schema, description]) => ({ name, in: "header", description, schema })),
  ];
}

const propertiesOf = (schema: JsonSchema | undefined): Record<string, JsonSchema> =>
  (schema?.["properties"] ?? {}) as Record<string, JsonSchema>;

/** A schema with a title becomes a reference, and is added to the others. */
function named(schema: JsonSchema, schemas: Json): JsonSchema {
  const { title } = schema;
  if (typeof title !== "string") return schema;
  schemas[title] ??= schema;
  return { $ref: `#/components/schemas/${title}` };
}
