import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Static } from "typebox";
import type { DaemonStatus, InstanceStatus } from "../../../api/status.ts";
import { AssistantError, isAssistantError } from "../../../core/errors.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { type ModelDirectory, mayUse, modelsFor, notFound, requireModel } from "../../../inference/resolve.ts";
import { type Preset, pullReference } from "../../../models/presets/preset.ts";
import type { PullStatus } from "../../../models/pull-service.ts";
import { actOn } from "../../../registry/act.ts";
import { type CloudModel, type CloudProvider, isCloudProvider } from "../../../registry/cloud.ts";
import { type LocalSettings, type Registered, type Registry, unsupported } from "../../../registry/registry.ts";
import { checkedBody } from "../../front/checked-body.ts";
import type { RouteDescription } from "../../front/describe.ts";
import { whileConnected } from "../../front/disconnect.ts";
import type { ControlPort, PullPort } from "../../ports.ts";
import { described } from "./describe.ts";
import {
  CloudConfig,
  CompatibilityQuestion,
  compatibilityAnswer,
  DEFAULT_CONTEXT_WINDOW,
  LocalConfig,
  modelInfo,
  NamedModel,
  PresetRegistration,
  presetLists,
  RegistrationHead,
} from "./wire.ts";

export interface ModelRoutesOptions {
  readonly directory: ModelDirectory;
  readonly registry: Registry;
  readonly control: Pick<ControlPort, "status" | "modelAct">;
  /** Whether the hub has the file; null if it cannot be reached. `file` null: whether it has the repository. */
  readonly isOnHub: (repo: string, file: string | null) => Promise<boolean | null>;
  /** Downloads of the daemon; null: not available. */
  readonly pulls: Pick<PullPort, "list"> | null;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}

const PREFIX = "/api/v1/models";
/** For keys with the scope `admin`; others get an error that names it. */
const admin = (describe: RouteDescription) => ({ config: { scope: "admin", announced: true, describe } }) as const;
const open = (describe: RouteDescription) => ({ config: { describe } });
const MIB = 2 ** 20;

/** Lists, registers, loads and deletes models. */
export function registerModelRoutes(app: FastifyInstance, options: ModelRoutesOptions): void {
  const { directory, registry, control, isOnHub, pulls, onlyModels } = options;
  const visible = ({ identity }: FastifyRequest): readonly ModelSpec[] => {
    const all = modelsFor(identity.caller, directory);
    return onlyModels === null ? all : all.filter((model) => onlyModels.includes(model.name));
  };
  const named = (request: FastifyRequest, name: string): ModelSpec => {
    const model = directory.find(name);
    if (model !== undefined) requireModel(request.identity.caller, model);
    if (model === undefined || !visible(request).includes(model)) throw notFound(visible(request), name);
    return model;
  };
  const info = async (model: ModelSpec, extra: Readonly<Record<string, unknown>> = {}): Promise<object> =>
    modelInfo(model, await registry.providerOf(model), isLoaded(await control.status(), model), extra);
  const registeredInfo = ({ model, warning }: Registered): Promise<object> =>
    info(model, warning === null ? {} : { compatibility_warning: warning });

  app.get(PREFIX, open(described.list), async (request) => {
    const status = await control.status();
    const models = await Promise.all(
      visible(request).map(async (model) =>
        modelInfo(model, await registry.providerOf(model), isLoaded(status, model)),
      ),
    );
    return { models, total: models.length };
  });
  app.get(`${PREFIX}/presets`, open(described.presets), async () => presetLists(await registry.presets()));
  app.get(`${PREFIX}/download-status/:preset`, open(described.download), async (request) => {
    const asked = (request.params as { preset: string }).preset;
    const { preset, file, bytes } = await registry.presetFile(asked);
    // A model that a key may not use is hidden from it, whether configured or not.
    const model = directory.find(preset.name) ?? { name: preset.name, aliases: [] };
    if (!mayUse(request.identity.caller, model) || onlyModels?.includes(model.name) === false)
      throw notFound(visible(request), asked);
    return {
      preset_name: preset.name,
      exists_locally: file !== null,
      local_path: file,
      file_size_mb: bytes === null ? null : Math.round((bytes / MIB) * 100) / 100,
      available_on_hf: await isOnHub(preset.repo, preset.filename),
      download: downloadOf(preset, pulls?.list() ?? []),
    };
  });
  app.get(`${PREFIX}/*`, open(described.show), async (request) => {
    return await info(named(request, (request.params as { "*": string })["*"]));
  });
  app.post(`${PREFIX}/register`, admin(described.register), async ({ body }, reply) => {
    const { name, provider, config } = checkedBody(RegistrationHead, body);
    if (provider === "custom") throw unsupported(provider);
    const registered = isCloudProvider(provider)
      ? await registry.registerCloud(cloudModel(name, provider, checkedBody(CloudConfig, config, "config")))
      : await registry.register(
          name,
          provider === "embedding" ? "embedding" : "chat",
          localSettings(provider, checkedBody(LocalConfig, config, "config")),
        );
    return await reply.code(201).send(await registeredInfo(registered));
  });
  app.post(`${PREFIX}/register-from-preset`, admin(described.registerPreset), async ({ body }, reply) => {
    const {
      preset_name: preset,
      auto_download: download = true,
      quantization = null,
    } = checkedBody(PresetRegistration, body);
    const registered = await registry.registerPreset({ preset, download, quantization }).catch(badRequest);
    return await reply.code(201).send(await registeredInfo(registered));
  });
  app.post(`${PREFIX}/check-compatibility`, open(described.compatibility), async ({ body }) => {
    const { preset_name: preset, quantization = null } = checkedBody(CompatibilityQuestion, body);
    return compatibilityAnswer(await registry.compatibility(preset, quantization));
  });
  const act = async (request: FastifyRequest, action: "load" | "unload") => {
    const model = named(request, modelName(request));
    if (model.nodes !== undefined || model.source.type === "provider")
      throw new AssistantError(
        "invalid_request",
        `${model.name} runs elsewhere; it cannot be ${action}ed on this machine.`,
        {
          param: "model_name",
          remedy: "Only models of this machine can be loaded and unloaded.",
        },
      );
    const daemon = { status: () => control.status(), act: control.modelAct };
    const before = vramMb((await control.status()).instances, model);
    const startedAt = performance.now();
    const instances = await whileConnected(request.raw, (signal) => actOn(daemon, model.name, action, { signal }));
    return { model, before, after: vramMb(instances, model), elapsedMs: Math.round(performance.now() - startedAt) };
  };
  app.post(`${PREFIX}/load`, admin(described.load), async (request) => {
    const { model, after, elapsedMs } = await act(request, "load");
    return { model_name: model.name, loaded: true, load_time_ms: elapsedMs, vram_used_mb: after };
  });
  app.post(`${PREFIX}/unload`, admin(described.unload), async (request) => {
    const { model, before, after } = await act(request, "unload");
    return { model_name: model.name, unloaded: true, vram_freed_mb: Math.max(0, before - after) };
  });
  app.delete(`${PREFIX}/*`, admin(described.delete), async (request, reply) => {
    const { cleanup = "true" } = request.query as { readonly cleanup?: string };
    if (cleanup !== "true" && cleanup !== "false")
      throw new AssistantError(
        "invalid_request",
        `cleanup: expected true or false, found ${JSON.stringify(cleanup)}.`,
        {
          param: "cleanup",
        },
      );
    const { name } = named(request, (request.params as { "*": string })["*"]);
    // Either way, the reload that this causes stops the model when its requests have ended.
    await registry.unregister(name);
    return await reply.code(204).send();
  });
}

const localSettings = (provider: "local" | "embedding", config: Static<typeof LocalConfig>): LocalSettings => ({
  modelPath: config.model_path,
  contextWindow: config.context_window ?? (provider === "local" ? DEFAULT_CONTEXT_WINDOW : undefined),
  gpuLayers: config.gpu_layers,
});

const cloudModel = (name: string, provider: CloudProvider, config: Static<typeof CloudConfig>): CloudModel => ({
  name,
  provider,
  modelName: config.model_name,
  baseUrl: config.base_url ?? null,
  apiKey: config.api_key ?? null,
  apiKeyVariable: null,
  timeoutS: config.timeout ?? null,
});

/** The unfinished download of a preset's weights, or null. */
function downloadOf(preset: Preset, pulls: readonly PullStatus[]): object | null {
  const reference = pullReference(preset, null);
  const running = pulls.find((pull) => pull.endedAt === null && pull.reference === reference);
  return running === undefined
    ? null
    : {
        state: running.state,
        bytes: running.bytes,
        total_bytes: running.totalBytes,
        bytes_per_second: running.bytesPerSecond,
        seconds_left: running.secondsLeft,
      };
}

/** Named in the query or in the body. */
function modelName({ query, body }: FastifyRequest): string {
  const inQuery = (query as { readonly model_name?: unknown }).model_name;
  // A repeated parameter is a list.
  if (inQuery !== undefined && typeof inQuery !== "string")
    throw new AssistantError("invalid_request", "model_name is more than once in the query.", { param: "model_name" });
  const inBody = body === undefined || body === null ? undefined : checkedBody(NamedModel, body).model_name;
  const name = inQuery ?? inBody;
  if (name !== undefined && (inBody ?? name) === name) return name;
  throw new AssistantError(
    "invalid_request",
    name === undefined ? "model_name is missing." : "model_name is one in the query and another in the body.",
    { param: "model_name" },
  );
}

/** A remote model is available without being loaded. */
const isLoaded = ({ instances }: DaemonStatus, { name, source }: ModelSpec): boolean =>
  source.type === "provider" ||
  source.type === "worker" ||
  instances.some((instance) => instance.model === name && instance.state === "ready");

/** GPU memory used by a model's instances, MiB. */
function vramMb(instances: readonly InstanceStatus[], { name }: ModelSpec): number {
  const onGpus = instances.filter(
    ({ model, device, state }) => model === name && device !== "cpu" && state === "ready",
  );
  const bytes = onGpus.reduce((sum, each) => sum + (each.memoryBytes ?? each.estimatedMemoryBytes ?? 0), 0);
  return Math.round(bytes / MIB);
}

/** In this API, a failed download is a client error. */
function badRequest(error: unknown): never {
  if (!isAssistantError(error) || ["model_not_found", "model_exists", "internal"].includes(error.code)) throw error;
  throw new AssistantError("invalid_request", error.message, {
    param: error.param ?? "preset_name",
    ...(error.remedy === null ? {} : { remedy: error.remedy }),
    cause: error,
  });
}
