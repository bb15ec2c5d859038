import type { FastifyInstance } from "fastify";
import { AssistantError } from "../../../core/errors.ts";
import { Type } from "../../../core/schema.ts";
import { checkedBody } from "../../front/checked-body.ts";
import { type RegisteredServer, type ServerKind, type ServersPort, serverKinds } from "../../ports.ts";

const text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, required: true, description });

const Registration = Type.Object({
  url: text(2000, "Address of the server, with the version of its API, such as http://10.0.0.2:8080/v1."),
  kind: text(100, `Its kind: ${serverKinds.join(", ")}, or several of them, separated by commas.`),
  api_key: Type.Optional(Type.String({ maxLength: 4096, description: "Sent with every request to it." })),
});
const Departure = Type.Object({ server_id: text(200, "As `register` returned it.") });

const described = (summary: string) => ({ config: { scope: "admin" as const, describe: { summary } } });

/** Servers that are added and removed at run time, as in llama-nexus. For keys with the scope `admin`. */
export function registerServerRoutes(app: FastifyInstance, servers: ServersPort): void {
  app.post("/admin/servers/register", described("Register a server"), async ({ body }) => {
    const { url, kind, api_key: apiKey } = checkedBody(Registration, body);
    return answerOf(await servers.register({ url: urlOf(url), kinds: kindsOf(kind), apiKey: keyOf(apiKey) }));
  });
  app.post("/admin/servers/unregister", described("Unregister a server"), async ({ body }) => {
    const { server_id: id } = checkedBody(Departure, body);
    servers.unregister(id);
    return { message: "Server unregistered successfully.", id };
  });
  app.get("/admin/servers", described("List registered servers by kind"), async () => {
    const all = servers.list().map((server) => ({ server, answer: { ...answerOf(server), ...healthOf(server) } }));
    const of = (kind: ServerKind): object[] =>
      all.filter(({ server }) => server.kinds.includes(kind)).map(({ answer }) => answer);
    return Object.fromEntries(serverKinds.map((kind) => [kind, of(kind)]));
  });
}

const answerOf = ({ id, url, kinds }: RegisteredServer) => ({ id, url, kind: kinds.join(",") });
const healthOf = ({ isUp, models }: RegisteredServer) => ({ health_status: { is_healthy: isUp }, models });

function urlOf(url: string): string {
  const found = /^https?:\/\/\S+$/.test(url) ? URL.parse(url) : null;
  if (found === null)
    throw new AssistantError("invalid_request", `"url" must be an address such as http://10.0.0.2:8080/v1.`, {
      param: "url",
    });
  if (found.username === "" && found.password === "") return url;
  throw new AssistantError("invalid_request", `"url" contains a user or a password; expected a URL without them.`, {
    param: "url",
    remedy: "Send the key of the server as `api_key`.",
  });
}

function kindsOf(written: string): readonly ServerKind[] {
  const names = written.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !(serverKinds as readonly string[]).includes(name));
  if (unknown === undefined) return [...new Set(names as ServerKind[])];
  throw new AssistantError(
    "invalid_request",
    `"kind" must be ${serverKinds.join(", ")}, or several of them with commas between; found ${JSON.stringify(unknown)}.`,
    { param: "kind" },
  );
}

function keyOf(key: string | undefined): string | null {
  if (key === undefined || key === "") return null;
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw new AssistantError("invalid_request", `"api_key" must be one line of printable characters.`, {
    param: "api_key",
  });
}
