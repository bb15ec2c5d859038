import type { IncomingHttpHeaders } from "node:http";
import type { DaemonStatus, InstanceStatus } from "../../../api/status.ts";
import { isAssistantError } from "../../../core/errors.ts";
import type { Caller } from "../../../core/inference.ts";
import { answers, type ModelSpec } from "../../../core/model.ts";
import { type ModelDirectory, modelsFor } from "../../../inference/resolve.ts";
import type { Authorizer } from "../../front/authorize.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { ControlPort } from "../../ports.ts";
import { escaped, pageHead, STYLE } from "./html.ts";

export interface HomeOptions {
  readonly version: string;
  readonly directory: ModelDirectory;
  readonly control: Pick<ControlPort, "status">;
  readonly authorizer: Pick<Authorizer, "authorize">;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}

/**
 * What is running, for authorized callers, and how to connect, for everyone. It shows the address that the browser
 * used.
 */
export async function homePage(headers: IncomingHttpHeaders, options: HomeOptions): Promise<string> {
  const base = `http://${headers.host ?? "127.0.0.1:8080"}`;
  const caller = callerOf(headers, options.authorizer);
  const models = caller === null ? [] : visibleTo(caller, options);
  const example = models.find((model) => answers(model, "chat"))?.name ?? "MODEL";
  const keyed = caller === null || caller.tenant !== "local";
  return `${pageHead("Assistant")}
<style>${STYLE}</style>
<body>
<main>
<h1>Assistant <small>${escaped(options.version)}</small></h1>
<p>Models on this machine, behind one API at <code>${escaped(`${base}/v1`)}</code>.</p>
${caller === null ? LOCKED : modelTable(models, await options.control.status())}
<h2>Connect</h2>
${examples(base, example, keyed)}
<p><a href="/docs">Try the API out</a> · <a href="/redoc">Read its reference</a> · <a href="/openapi.json">OpenAPI</a></p>
</main>
</body>
</html>
`;
}

const LOCKED = "<p>This page requires an API key. <code>GET /v1/models</code> lists the models that a key may use.</p>";

/** Null: keys are configured, and the request has none with access to models. */
function callerOf(headers: IncomingHttpHeaders, authorizer: HomeOptions["authorizer"]): Caller | null {
  try {
    return authorizer.authorize(bearerDoor.credential(headers), "inference").caller;
  } catch (error) {
    if (isAssistantError(error)) return null;
    throw error;
  }
}

const visibleTo = (caller: Caller, { directory, onlyModels }: HomeOptions): readonly ModelSpec[] =>
  modelsFor(caller, directory).filter(({ name }) => onlyModels === null || onlyModels.includes(name));

function modelTable(models: readonly ModelSpec[], { instances }: DaemonStatus): string {
  if (models.length === 0)
    return "<p>No models are configured. <code>assistant run MODEL</code> downloads one and starts it.</p>";
  const rows = models.map((model) => {
    const names = [model.name, ...model.aliases].map((name) => `<code>${escaped(name)}</code>`).join(" ");
    const state = stateOf(model, instances);
    return `<tr><td>${names}</td><td>${escaped(model.kind)}</td><td>${escaped(state)}</td></tr>`;
  });
  return `<table>
<thead><tr><th>Model</th><th>Kind</th><th>State</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>`;
}

function stateOf({ name, source, nodes }: ModelSpec, instances: readonly InstanceStatus[]): string {
  if (source.type === "worker") return "served by workers";
  if (nodes !== undefined) return `on ${nodes.join(", ")}`;
  if (source.type === "provider") return "runs at a provider";
  const states = instances.filter(({ model }) => model === name).map(({ state }) => state);
  return states.length === 0 ? "loads with its first request" : states.join(", ");
}

function examples(base: string, model: string, keyed: boolean): string {
  const key = keyed ? "YOUR_API_KEY" : "none";
  const header = keyed ? ` -H "Authorization: Bearer ${key}"` : "";
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] });
  const each: readonly (readonly [title: string, code: string])[] = [
    ["curl", `curl ${base}/v1/chat/completions -H "Content-Type: application/json"${header} \\\n  -d '${body}'`],
    ["OpenAI SDK", `export OPENAI_BASE_URL=${base}/v1\nexport OPENAI_API_KEY=${key}`],
    ["Ollama", `export OLLAMA_HOST=${base}`],
    ["Anthropic SDK, Claude Code", `export ANTHROPIC_BASE_URL=${base}\nexport ANTHROPIC_API_KEY=${key}`],
  ];
  return each.map(([title, code]) => `<h3>${title}</h3>\n<pre>${escaped(code)}</pre>`).join("\n");
}
