import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";

const file = fileURLToPath(new URL("../fixtures/openai.schema.json", import.meta.url));
interface EventSchema {
  readonly properties?: { readonly type?: { readonly enum?: readonly string[] } };
}
const { schemas } = JSON.parse(readFileSync(file, "utf8")) as {
  readonly schemas: Readonly<Record<string, EventSchema>>;
};
const ajv = new Ajv2020({ strict: false, validateFormats: false, discriminator: false, allErrors: true });
ajv.addSchema({ $id: "openai", components: { schemas } });

/** What is wrong with a value, by a schema of OpenAI's published description of its API; empty: nothing. */
export function schemaErrors(name: string, value: unknown): string[] {
  const validate = ajv.getSchema(`openai#/components/schemas/${name}`);
  if (validate === undefined) throw new Error(`there is no schema ${name}`);
  if (validate(value)) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, JSON.stringify(params)].join(" "),
  );
}

/** The same for an event of a stream of the Responses API, whose type names its schema. */
export function eventErrors(event: Readonly<Record<string, unknown>>): string[] {
  const type = String(event["type"]);
  const found = Object.entries(schemas).find(
    ([name, { properties }]) => name.endsWith("Event") && properties?.type?.enum?.includes(type) === true,
  );
  return found === undefined ? [`there is no event ${type}`] : schemaErrors(found[0], event);
}
