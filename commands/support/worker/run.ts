import { existsSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import {
  DEFAULT_LAYOUT,
  Layout,
  type LayoutParts,
  runWorker,
  WorkerApp,
  type WorkerEnvironment,
} from "../../../src/workers/sdk/index.ts";
import type { CommandContext } from "../cli/context.ts";
import { importModule, knowSdk } from "./module.ts";
import { type HandlersOrder, superviseHandlers } from "./supervise.ts";

/**
 * Runs what `worker run` names until it is stopped. Resolves with the exit code. `settings`: variables that flags set.
 */
export async function runTarget(
  target: string | null,
  context: CommandContext,
  settings: WorkerEnvironment,
  handlers: HandlersFlags,
): Promise<number> {
  knowSdk();
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const env = { ...context.env, ...Object.fromEntries(given) };
  const agent = env["AGENT_ENDPOINT"] ?? (await agentOf(context));
  const all = { ...env, ...(agent === null ? {} : { AGENT_ENDPOINT: agent }) };
  const folder = folderOf(target, env);
  if (folder !== null)
    return await runWorker({ env: { LLM_NAME: basename(folder), ...all, LAYOUT_CONFIG: LAYOUT }, cwd: folder });
  if (target === null) return await runWorker({ env: all });
  if (/\.ya?ml$/i.test(target)) return await runWorker({ env: { ...all, LAYOUT_CONFIG: target } });
  const [, file = target, exported = "app"] = /^(.+?\.\w+)(?::([A-Za-z_$][\w$]*))?$/.exec(target) ?? [];
  const loaded = await importModule(resolve(file));
  const app = loaded[exported] ?? loaded["default"];
  if (!(app instanceof WorkerApp)) return await runWorker({ env: all, layout: layoutIn(loaded, target) });
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());
  const { apiServer = (await urlOf(context)) ?? "", ...order } = handlers;
  return await superviseHandlers({ ...order, target, apiServer, env: context.env }, stopping.signal);
}

const LAYOUT = "layout.yaml";

/**
 * The folder whose layout is run: the one that is named, or the current one where nothing else is. Throws
 * `config_invalid`.
 */
function folderOf(target: string | null, env: WorkerEnvironment): string | null {
  const folder = resolve(target ?? ".");
  const hasLayout = existsSync(join(folder, LAYOUT));
  if (target === null) return hasLayout && !env["LAYOUT_CONFIG"] && !existsSync(DEFAULT_LAYOUT) ? folder : null;
  if (hasLayout) return folder;
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return null;
  throw new AssistantError("config_invalid", `${folder} has no ${LAYOUT}.`, {
    remedy: "`assistant worker new NAME` writes a folder that has one.",
  });
}

/** What flags say of a module with handlers. `apiServer`: default the daemon of this machine. */
export type HandlersFlags = Omit<HandlersOrder, "target" | "apiServer" | "env"> & { readonly apiServer?: string };

/** The registry of the daemon that runs here, or null. */
async function agentOf({ paths }: CommandContext): Promise<string | null> {
  const url = await urlOf({ paths });
  return url === null ? null : `${url}/v1.0/`;
}

const urlOf = async ({ paths }: Pick<CommandContext, "paths">): Promise<string | null> =>
  (await connectIfAnswering(paths))?.status.url ?? null;

function layoutIn({ layout }: Readonly<Record<string, unknown>>, target: string): Layout | LayoutParts {
  if (layout instanceof Layout) return layout;
  if (typeof layout === "object" && layout !== null && ("llm" in layout || "process" in layout))
    return layout as LayoutParts;
  throw new AssistantError(
    "config_invalid",
    `${target} exports no \`app\` of handlers, and no \`layout\` with an \`llm\` or a \`process\`.`,
    {
      remedy: "See docs/workers for an example.",
    },
  );
}
