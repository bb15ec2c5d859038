/**
 * What a path such as `items[0].title` leads to within a JSON value; undefined: nothing. The empty path: the value
 * itself.
 */
export function valueAt(value: unknown, path: string): unknown {
  let found = value;
  for (const [, key = ""] of path.matchAll(/([^.[\]]+)/g)) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}

const PLACEHOLDER = /\{\{\s*([^{}]*?)\s*\}\}/g;
const ONLY_PLACEHOLDER = /^\{\{\s*([^{}]*?)\s*\}\}$/;

/**
 * A template with `{{path}}` filled in: a text that is nothing but one becomes the value itself, others become text.
 */
export function filled(template: unknown, values: unknown): unknown {
  if (typeof template === "string") {
    const only = ONLY_PLACEHOLDER.exec(template)?.[1];
    if (only !== undefined) return readable(valueAt(values, only)) ?? null;
    return template.replace(PLACEHOLDER, (_, path: string) => textOf(valueAt(values, path)));
  }
  if (Array.isArray(template)) return template.map((item) => filled(item, values));
  if (typeof template !== "object" || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, filled(item, values)]));
}

/** A value within a text. */
export function textOf(value: unknown): string {
  const shown = readable(value);
  return typeof shown === "string" ? shown : shown === undefined || shown === null ? "" : JSON.stringify(shown);
}

/** Sound is written in base64. */
const readable = (value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
