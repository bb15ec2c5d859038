import type { ApiKey, Config, ConfigNotice, ListenAddress, Paths, SchedulerSettings } from "../core/config.ts";
import type { Hardware, VramReserve } from "../core/device.ts";
import { assemble, overlap } from "./assemble.ts";
import { clusterOf } from "./cluster.ts";
import { defaultHostCacheBudgetMib, defaults, type Machine } from "./defaults.ts";
import { at, ownCapabilities, type PlacedAddress } from "./draft.ts";
import { draftsOfEntries } from "./entries.ts";
import { type Environment, variable } from "./environment.ts";
import { Findings, noFile, type Place, type SourceFile } from "./findings.ts";
import { deepFreeze, fingerprint } from "./fingerprint.ts";
import { apiKeysOf, checkKeyModels } from "./keys.ts";
import { keepLastGood } from "./last-good.ts";
import { machineFrom } from "./machine.ts";
import { draftsOfDirectory } from "./model-files.ts";
import { addressText, bind, parseAddress, type RemotePolicy } from "./network.ts";
import { pathIn, resolvePaths } from "./paths.ts";
import { pipelinesOf } from "./pipelines.ts";
import { checkFallbacks } from "./provider-model.ts";
import { providersOf } from "./providers.ts";
import { remotesOf } from "./remotes.ts";
import { schemaNode } from "./schema/kit.ts";
import { MainFile } from "./schema/main.ts";
import { levelOf, sharedVariable } from "./shared-variables.ts";
import { hasStoredKeys } from "./stored-keys.ts";
import { tasksOf } from "./tasks.ts";
import { telemetryOf } from "./telemetry.ts";
import { readToml, UnreadableFile } from "./toml.ts";
import { validate, valueProblem } from "./validate.ts";
import { workerPoolsOf } from "./worker-pools.ts";

const DAY_MS = 86_400_000;

export interface LoadOptions {
  readonly env: Environment;
  /** The `--config` flag. */
  readonly configFile?: string | undefined;
  /** The result of a probe. Without it, defaults assume a machine without GPUs, and device names are not checked. */
  readonly hardware?: Hardware | undefined;
  /**
   * Reads keys of providers from the system's keyring, which may ask to be unlocked; only for processes that send the
   * keys.
   */
  readonly keyring?: boolean | undefined;
  /** Flags that win over environment and file. */
  readonly overrides?: { readonly httpAddr?: string | undefined; readonly logLevel?: string | undefined };
  /**
   * The current configuration: models of files that are broken now keep their settings, and a main file that it had
   * must still exist.
   */
  readonly inForce?: Pick<Config, "models" | "configFileFound"> | undefined;
}

/**
 * Reads the configuration: flags over environment over files over defaults. Writes nothing. A missing main file means
 * defaults. Throws `config_invalid` listing every mistake of the main file; what is wrong with a model's file becomes
 * an error notice, and its models stay as they are in force; the other models serve.
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  const { env } = options;
  const base = resolvePaths(env, { configFile: options.configFile });
  const findings = new Findings(base.configFile);
  // Our own programs pass the default path explicitly; only another one was requested by the user.
  const unusual = base.configFile !== resolvePaths({ ...env, ASSISTANT_CONFIG: undefined }).configFile;
  const { main, found } = await readMain(base, findings, {
    unusual,
    expected: options.inForce?.configFileFound ?? false,
  });
  const keys = main.data as MainFile;
  const root: Place = { source: main, path: [] };
  const server = at(root, "server");
  const machine = machineFrom(options.hardware);

  const apiKeys = apiKeysOf(keys.server, env);
  const policy: RemotePolicy = {
    hasKeys: apiKeys.length > 0 || hasStoredKeys(base),
    allowRemote: keys.server?.allow_remote ?? false,
  };
  const given = options.overrides?.httpAddr ?? variable(env, "ASSISTANT_HTTP_ADDR");
  const httpPlace: Place =
    given === null || given === undefined
      ? at(server, "http_addr")
      : { source: noFile(options.overrides?.httpAddr === undefined ? "ASSISTANT_HTTP_ADDR" : "--http-addr"), path: [] };
  const wanted = given ?? keys.server?.http_addr ?? defaults.httpAddr;
  const httpAddresses = (
    typeof wanted === "string"
      ? [{ written: wanted, place: httpPlace }]
      : wanted.map((written, index) => ({ written, place: at(httpPlace, index) }))
  )
    .map(({ written, place }): PlacedAddress | null => {
      const address = listen(findings, policy, written, place);
      return address === null ? null : { address, place };
    })
    .filter((placed) => placed !== null);
  const [http = null, ...moreHttp] = httpAddresses.map(({ address }) => address);
  for (const [index, { address, place }] of httpAddresses.entries()) {
    if (httpAddresses.slice(0, index).some((other) => overlap(other.address, address)))
      findings.mistake(place, `${addressText(address)} is listed twice; remove one`);
  }
  const givenGrpc = variable(env, "ASSISTANT_GRPC_ADDR");
  const grpcPlace: Place =
    givenGrpc === null ? at(server, "grpc_addr") : { source: noFile("ASSISTANT_GRPC_ADDR"), path: [] };
  const chosenGrpc = givenGrpc ?? keys.server?.grpc_addr;
  const grpc = listen(findings, policy, chosenGrpc ?? defaults.grpcAddr, grpcPlace);
  if (grpc !== null && httpAddresses.some(({ address }) => overlap(grpc, address)))
    findings.mistake(
      chosenGrpc === undefined ? httpPlace : grpcPlace,
      `\`http_addr\` and \`grpc_addr\` are both ${addressText(grpc)}; give one of them another port`,
    );
  const remotes = remotesOf(findings, keys.remote_servers ?? [], root, env);
  const { providers, keyFiles } = await providersOf(findings, keys.providers ?? [], remotes, root, {
    env,
    keyring: options.keyring ?? false,
  });

  const chosenDir = keys.scheduler?.config_dir;
  const modelConfigDir = chosenDir ? pathIn(main.file, chosenDir, env) : base.modelConfigDir;
  const llamaServerPath = chosenBinary(keys, main, env);
  const context = { env, findings, policy, providers };
  const entries = await draftsOfEntries(context, main, keys.llama_servers ?? []);
  const files = await draftsOfDirectory(
    context,
    modelConfigDir,
    entries.files,
    chosenDir ? at(root, "scheduler", "config_dir") : null,
  );
  const taken: PlacedAddress[] = [...httpAddresses];
  // The usual gRPC address gives way to a model's own.
  if (grpc !== null && chosenGrpc !== undefined) taken.push({ address: grpc, place: grpcPlace });
  const hostCacheBudgetMib = keys.scheduler?.host_cache_budget_mib ?? defaultHostCacheBudgetMib(machine);
  const before = options.inForce?.models ?? [];
  const namesInForce = new Map(before.map(({ name, file }) => [name, file]));
  const drafts = [...entries.drafts, ...files];
  const fresh = assemble({ ...context, machine, llamaServerPath, taken, hostCacheBudgetMib, namesInForce }, drafts);
  const { models, kept } = keepLastGood(before, fresh, findings);
  const mayBeElsewhere = [...remotes, ...providers].some(({ enabled }) => enabled);
  checkFallbacks(findings, drafts, models, mayBeElsewhere);
  // Names that are not here may be those of models of other machines or providers.
  if (!mayBeElsewhere) checkKeyModels(findings, keys.server, root, models);
  const paths: Paths = { ...base, modelConfigDir };
  const scheduler = { ...schedulerOf(keys, apiKeys, machine, findings, root), hostCacheBudgetMib };
  const tasks = tasksOf(keys, findings, root, env);
  const workerPools = workerPoolsOf(keys, findings, root, env);
  const cluster = clusterOf(keys, findings, root, env);
  const pipelines = await pipelinesOf({ env, findings, models }, base.pipelinesDir);
  const pipelinesPlace = at(root, "pipelines", "addr");
  const pipelinesAddress = listen(findings, policy, keys.pipelines?.addr ?? "", pipelinesPlace);
  if (pipelinesAddress !== null && taken.some(({ address }) => overlap(address, pipelinesAddress)))
    findings.mistake(pipelinesPlace, `${addressText(pipelinesAddress)} is taken by another key; choose another port`);
  const telemetry = telemetryOf(keys, findings, root, env);
  const vramReserve = vramReserveOf(keys, findings, env);
  const logLevel = logLevelOf(options, keys, findings);
  findings.throwMistakes();

  const bodyLimitBytes = (keys.server?.body_limit_mib ?? defaults.bodyLimitMib) * 2 ** 20;
  return deepFreeze<Config>({
    paths,
    http,
    moreHttp,
    grpc,
    grpcChosen: chosenGrpc !== undefined,
    remotes,
    providers,
    apiKeys,
    sharePrefixes: keys.server?.share_prefixes ?? defaults.sharePrefixes,
    corsOrigins: keys.server?.cors_origins ?? [],
    allowedHosts: keys.server?.allowed_hosts ?? [],
    bodyLimitBytes,
    maxMessages: keys.server?.max_messages ?? defaults.maxMessages,
    fileLimitBytes: (keys.server?.file_limit_mib ?? defaults.fileLimitMib) * 2 ** 20,
    storage: {
      perKey: {
        bytes: (keys.server?.max_stored_mib ?? defaults.maxStoredMib) * 2 ** 20,
        records: keys.server?.max_stored_records ?? defaults.maxStoredRecords,
      },
      minFreeBytes: (keys.server?.min_free_disk_mib ?? defaults.minFreeDiskMib) * 2 ** 20,
      keepObjectsMs: (keys.server?.keep_objects_days ?? defaults.keepObjectsDays) * DAY_MS,
    },
    keepResponsesMs: (keys.server?.keep_responses_days ?? defaults.keepResponsesDays) * DAY_MS,
    unknownModel: keys.gateway?.unknown_model ?? defaults.unknownModel,
    scheduler,
    tasks,
    workerPools,
    capabilities: ownCapabilities({ findings }, keys.capabilities, root),
    conversations: {
      ttlMs: (keys.conversations?.ttl_days ?? defaults.conversationTtlDays) * DAY_MS,
      maxItems: keys.conversations?.max_messages ?? defaults.maxConversationMessages,
    },
    storeSync: keys.store?.sync ?? defaults.storeSync,
    cluster,
    workerHosts: keys.workers?.allowed_hosts ?? [],
    telemetry,
    models,
    pipelines,
    pipelinesAddress,
    namedFiles: [...entries.files, ...keyFiles],
    llamaServerPath,
    buildInBackground: keys.engine?.build_in_background ?? defaults.buildInBackground,
    vramReserve,
    slotCacheBytes: (keys.scheduler?.slot_cache_mib ?? defaults.slotCacheMib) * 2 ** 20,
    logLevel,
    configFileFound: found,
    fixed: {
      "server.http_addr": httpAddresses.map(({ address }) => addressText(address)).join(", "),
      "server.grpc_addr": grpc === null ? "" : addressText(grpc),
      "server.body_limit_mib": String(bodyLimitBytes),
      "store.sync": keys.store?.sync ?? defaults.storeSync,
      "cluster.url": cluster === null ? "" : withoutPassword(cluster.url),
      "pipelines.addr": pipelinesAddress === null ? "" : addressText(pipelinesAddress),
      telemetry: fingerprint(telemetry),
      ...Object.fromEntries(
        models.flatMap(({ name, ownAddresses }) =>
          ownAddresses.length === 0 ? [] : [[`the address of ${name}`, ownAddresses.join(", ")]],
        ),
      ),
    },
    notices: inOrder(findings.notices(kept)),
  });
}

/**
 * The main file, checked against its schema; an empty one if there is none. `expected`: it was there, so that its
 * absence is a mistake, as the keys in it guard the API. Throws `config_invalid`.
 */
async function readMain(
  paths: Paths,
  findings: Findings,
  { unusual, expected }: { readonly unusual: boolean; readonly expected: boolean },
): Promise<{ readonly main: SourceFile; readonly found: boolean }> {
  try {
    const source = await readToml(paths.configFile);
    if (source === null) {
      const empty = noFile(paths.configFile);
      if (expected) {
        findings.mistake(
          { source: empty, path: [] },
          "the configuration file was removed; restore it, or restart the daemon to run with defaults",
        );
        findings.throwMistakes();
      }
      if (unusual)
        findings.warning(
          { source: empty, path: [] },
          "this configuration file does not exist, so defaults apply; `assistant init` writes it",
        );
      return { main: empty, found: false };
    }
    // Without the right structure it cannot be read further, so these mistakes are reported first.
    validate(schemaNode(MainFile), source, (path, message) => findings.mistake({ source, path }, message));
    findings.throwMistakes();
    return { main: source, found: true };
  } catch (error) {
    throw error instanceof UnreadableFile ? error.toAssistantError() : error;
  }
}

/** An address of the daemon; null where it is switched off or wrong. */
function listen(findings: Findings, policy: RemotePolicy, written: string, place: Place): ListenAddress | null {
  if (written === "") return null;
  const parsed = parseAddress(written);
  const bound = typeof parsed === "string" ? ({ outcome: "refused", message: parsed } as const) : bind(parsed, policy);
  if (bound.outcome === "refused") {
    findings.mistake(place, bound.message);
    return null;
  }
  if (bound.message !== null) findings.warning(place, bound.message);
  return bound.address;
}

function schedulerOf(
  { scheduler }: MainFile,
  apiKeys: readonly ApiKey[],
  machine: Machine,
  findings: Findings,
  root: Place,
): SchedulerSettings {
  const budget = scheduler?.thread_budget ?? "auto";
  if (budget !== "auto" && budget > machine.logicalCores) {
    findings.warning(
      at(root, "scheduler", "thread_budget"),
      `${budget} threads on ${machine.logicalCores} logical cores slow every model down; write \`thread_budget = "auto"\``,
    );
  }
  return {
    maxInstances: scheduler?.max_instances ?? defaults.maxInstances,
    maxLoad: scheduler?.max_load ?? defaults.maxLoad,
    maxQueuedPerModel: scheduler?.max_queued_per_model ?? defaults.maxQueuedPerModel,
    maxQueuedPerTenant: scheduler?.max_queued_per_tenant ?? defaults.maxQueuedPerTenant,
    policy: scheduler?.policy ?? defaults.policy,
    maxWaitMs: (scheduler?.max_wait_s ?? defaults.maxWaitS) * 1000,
    maxSwapWaitMs: (scheduler?.max_swap_wait_s ?? defaults.maxSwapWaitS) * 1000,
    tenantWeights: new Map(
      apiKeys.flatMap(({ name, weight }) => (weight === undefined ? [] : [[name, weight] as const])),
    ),
    threadBudget: budget === "auto" ? machine.physicalCores : budget,
    startTimeoutMs: (scheduler?.start_timeout_s ?? defaults.startTimeoutS) * 1000,
    wedgeAfterMs: (scheduler?.wedge_after_s ?? defaults.wedgeAfterS) * 1000,
    drainTimeoutMs: (scheduler?.drain_timeout_s ?? defaults.drainTimeoutS) * 1000,
  };
}

function vramReserveOf({ scheduler }: MainFile, findings: Findings, env: Environment): VramReserve {
  const reserved = (key: "max_vram_percent" | "vram_reserve_mib", name: string): number | null => {
    const node = schemaNode(MainFile).properties?.scheduler?.properties?.[key];
    return scheduler?.[key] ?? (node ? sharedVariable(name, { env, node, convert: Number }, findings) : null);
  };
  return {
    maxPercent: reserved("max_vram_percent", "MAX_VRAM_USAGE_PERCENT") ?? defaults.maxVramPercent,
    bytes: (reserved("vram_reserve_mib", "VRAM_RESERVE_MB") ?? defaults.vramReserveMib) * 2 ** 20,
  };
}

function chosenBinary(keys: MainFile, main: SourceFile, env: Environment): string | null {
  const given = variable(env, "ASSISTANT_LLAMA_SERVER");
  if (given !== null) return pathIn(`${process.cwd()}/ASSISTANT_LLAMA_SERVER`, given, env);
  const written = keys.engine?.llama_server_path;
  return written ? pathIn(main.file, written, env) : null;
}

function logLevelOf({ overrides, env }: LoadOptions, keys: MainFile, findings: Findings): Config["logLevel"] {
  const given = overrides?.logLevel ?? variable(env, "ASSISTANT_LOG_LEVEL");
  const node = schemaNode(MainFile).properties?.log?.properties?.level;
  if (given === null)
    return (
      keys.log?.level ??
      (node && (sharedVariable("LOG_LEVEL", { env, node, convert: levelOf }, findings) as Config["logLevel"] | null)) ??
      defaults.logLevel
    );
  const problem = node === undefined ? null : valueProblem(node, given);
  if (problem !== null)
    findings.mistake(
      { source: noFile(overrides?.logLevel === undefined ? "ASSISTANT_LOG_LEVEL" : "--log-level"), path: [] },
      problem,
    );
  return given as Config["logLevel"];
}

const withoutPassword = (text: string): string => {
  const url = new URL(text);
  url.password = "";
  return url.href;
};

/** Errors first, then by file and line, so that lists of notices read the same every time. */
function inOrder(notices: readonly ConfigNotice[]): ConfigNotice[] {
  const rank = ({ severity }: ConfigNotice): number => (severity === "error" ? 0 : 1);
  return [...notices].sort(
    (a, b) => rank(a) - rank(b) || (a.file < b.file ? -1 : a.file > b.file ? 1 : (a.line ?? 0) - (b.line ?? 0)),
  );
}
