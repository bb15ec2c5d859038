import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { AssistantError } from "../../../core/errors.ts";

const read = (name: string): Readable => createReadStream(fileURLToPath(import.meta.resolve(name)));
const SCRIPT = "text/javascript; charset=utf-8";
/** The page's policy allows no inline script. */
const SWAGGER_START = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });`;

/** Every file that a page may load, by its name there. */
const files: Readonly<Record<string, { readonly type: string; readonly open: () => Readable }>> = {
  "swagger-ui-bundle.js": { type: SCRIPT, open: () => read("@fastify/swagger-ui/static/swagger-ui-bundle.js") },
  "swagger-ui.css": {
    type: "text/css; charset=utf-8",
    open: () => read("@fastify/swagger-ui/static/swagger-ui.css"),
  },
  "swagger-start.js": { type: SCRIPT, open: () => Readable.from([SWAGGER_START]) },
  "redoc.standalone.js": { type: SCRIPT, open: () => read("redoc/bundles/redoc.standalone.js") },
};

/** A file of a page. Throws `route_not_found`. */
export function assetOf(name: string): { readonly type: string; readonly stream: Readable } {
  const file = Object.hasOwn(files, name) ? files[name] : undefined;
  if (file === undefined)
    throw new AssistantError("route_not_found", `There is no file ${JSON.stringify(name.slice(0, 100))}.`);
  return { type: file.type, stream: file.open() };
}
