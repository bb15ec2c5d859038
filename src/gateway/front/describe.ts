import type { RouteOptions } from "fastify";
import type { JsonSchema } from "../../core/schema.ts";

/** A route's request and responses, for `/openapi.json`. A schema with a `title` is listed once, under that name. */
export interface RouteDescription {
  /** One line, without a full stop. */
  readonly summary: string;
  readonly description?: string;
  /** Missing: it has no body. */
  readonly body?: JsonSchema;
  /** Content type of the body. Default: `application/json`. */
  readonly bodyType?: string;
  /** Default: a `body` is required. */
  readonly bodyOptional?: true;
  /** Parameters of the query and of the path, as properties of an object. */
  readonly query?: JsonSchema;
  readonly params?: JsonSchema;
  /** Status of success. Default: 200. */
  readonly status?: number;
  /** Successful responses by content type. Default: a JSON object; none: it has no body. */
  readonly answers?: Readonly<Record<string, JsonSchema>>;
}

/** A route of fastify: its `config`, with the schemas that fastify uses for validation. Null: it has no description. */
export function describeMemoryRoute({ config, schema = {} }: RouteOptions): RouteDescription | null {
  const said = config?.describe;
  if (said === undefined) return null;
  const { body, params, querystring: query, response } = schema as Readonly<Record<string, JsonSchema | undefined>>;
  const [success] = Object.entries(response ?? {}).filter(([status]) => status.startsWith("2"));
  return {
    ...(body === undefined ? {} : { body }),
    ...(params === undefined ? {} : { params }),
    ...(query === undefined ? {} : { query }),
    ...(success === undefined
      ? {}
      : { status: Number(success[0]), answers: { "application/json": success[1] as JsonSchema } }),
    ...said,
  };
}
