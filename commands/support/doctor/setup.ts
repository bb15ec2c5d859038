import { createServer } from "node:net";
import type { DaemonStatus } from "../../../src/api/status.ts";
import type { describeEnd } from "../../../src/client/unexpected-end.ts";
import { sourceText } from "../../../src/config/source.ts";
import type { Config, ConfigNotice, ListenAddress } from "../../../src/core/config.ts";
import { toAssistantError } from "../../../src/core/errors.ts";
import { type ModelSpec, modelKinds } from "../../../src/core/model.ts";
import { aboveTrained } from "../../../src/models/context.ts";
import { checkWeights, locateWeights } from "../../../src/models/resolve.ts";
import { listedOnce } from "../../../src/models/store.ts";
import { modelStore } from "../stores.ts";
import { type Finding, findingsOf } from "./finding.ts";

const ofConfig = findingsOf("configuration");
const ofModels = findingsOf("models");
const ofDaemon = findingsOf("daemon");

/**
 * The configuration as it was loaded, or the error that kept it from being. `inForce`: what a running daemon says of
 * the same files, some of whose models it may have kept. Pure.
 */
export function configFindings(
  loaded: { readonly config: Config; readonly exists: boolean } | { readonly error: unknown },
  inForce: DaemonStatus["notices"] = [],
  presets: readonly ConfigNotice[] = [],
): Finding[] {
  if ("error" in loaded) {
    const error = toAssistantError(loaded.error);
    return [ofConfig("config.toml", "broken", error.message, error.remedy)];
  }
  const { config, exists } = loaded;
  return [
    exists
      ? ofConfig("config.toml", "ok", config.paths.configFile)
      : ofConfig(
          "config.toml",
          "info",
          `${config.paths.configFile} does not exist, so defaults apply`,
          "`assistant init` writes one that fits this machine.",
        ),
    ...[...config.notices, ...presets].map((notice) =>
      ofConfig(
        notice.key ?? "file",
        notice.severity === "error" ? "broken" : "warning",
        `${notice.file}${notice.line === null ? "" : `:${notice.line}`}: ${(inForce.find(sameMistake(notice)) ?? notice).message}`,
      ),
    ),
  ];
}

/** The same except for the effect on the models. */
const sameMistake =
  (one: ConfigNotice) =>
  (other: DaemonStatus["notices"][number]): boolean =>
    one.severity === other.severity && one.file === other.file && one.line === other.line && one.key === other.key;

/** Whether the weights of every configured model are here. */
export async function modelFindings(config: Config): Promise<Finding[]> {
  if (config.models.length === 0)
    return [ofModels("models", "info", "none configured", "`assistant run smollm2` sets up a small one.")];
  const store = listedOnce(modelStore(config.paths));
  return Promise.all(
    config.models.map(async (model) => {
      if (model.source.type === "provider") return ofModels(model.name, "ok", `served by ${sourceText(model.source)}`);
      try {
        if (model.command !== undefined) return commandFinding(model, model.command.run, config);
        if (model.source.type === "opaque") return ofModels(model.name, "ok", model.source.reference);
        const file = await locateWeights(model.source, store);
        const trainContextTokens = (await checkWeights(file, model.kind))?.trainContextTokens ?? null;
        const { contextTokens } = model.load;
        return trainContextTokens !== null && contextTokens > trainContextTokens
          ? ofModels(
              model.name,
              "warning",
              aboveTrained(contextTokens, trainContextTokens),
              `Its settings are in ${model.file}.`,
            )
          : ofModels(model.name, "ok", file);
      } catch (error) {
        const { message, remedy } = toAssistantError(error);
        return ofModels(
          model.name,
          "warning",
          message,
          remedy ?? (model.source.type === "catalog" ? `\`assistant pull ${model.source.name}\` brings it.` : null),
        );
      }
    }),
  );
}

/** What its program has cached is out of reach: whether several keys share it depends on how it is run. */
function commandFinding({ name, kind, file }: ModelSpec, [program = ""]: readonly string[], config: Config): Finding {
  const mustSeparate = config.apiKeys.length > 1 && !config.sharePrefixes;
  if (!mustSeparate || !modelKinds[kind].generates) return ofModels(name, "ok", `run by ${program}`);
  return ofModels(
    name,
    "warning",
    `prompts that ${program} has cached for one API key may speed up another's`,
    `Disable its prefix cache in \`run\` of ${file}, configure one such model for each key, or set \`share_prefixes = true\` in [server].`,
  );
}

/** The daemon's own word where it runs, else how it ended, and whether it could listen. */
export async function daemonFindings(
  status: DaemonStatus | null,
  version: string,
  http: ListenAddress | null,
  end: ReturnType<typeof describeEnd> | null = null,
): Promise<Finding[]> {
  if (status === null)
    return [
      end === null
        ? ofDaemon("daemon", "info", "not running", "`assistant serve` starts it.")
        : ofDaemon("daemon", "warning", `not running. ${end.what}`, `\`assistant serve\` starts it. ${end.hint}`),
      ...(http === null ? [] : [await portFinding(http)]),
    ];
  const findings = [
    ofDaemon("daemon", "ok", `running, pid ${status.pid}${status.url === null ? "" : `, at ${status.url}`}`),
  ];
  if (status.version !== version) {
    findings.push(
      ofDaemon(
        "version",
        "warning",
        `the daemon is ${status.version} and this command ${version}`,
        "Run `assistant stop` and `assistant serve`.",
      ),
    );
  }
  for (const instance of status.instances) {
    if (instance.state === "failed" && instance.lastDeath !== null)
      findings.push(
        ofDaemon(instance.id, "broken", instance.lastDeath.message, `\`assistant logs ${instance.id}\` shows details.`),
      );
  }
  return findings;
}

function portFinding({ host, port }: ListenAddress): Promise<Finding> {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(
        error.code === "EADDRINUSE"
          ? ofDaemon(
              "port",
              "broken",
              `another program listens on ${address}`,
              "End it, or choose another address: `[server] http_addr`, or `assistant serve --http-addr`.",
            )
          : ofDaemon(
              "port",
              "broken",
              `cannot listen on ${address}: ${error.message}`,
              "Correct `[server] http_addr`.",
            ),
      ),
    );
    server.listen({ host, port, exclusive: true }, () =>
      server.close(() => resolve(ofDaemon("port", "ok", `${address} is free`))),
    );
  });
}
