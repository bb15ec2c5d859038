import type { IncomingHttpHeaders } from "node:http";
import type { DaemonStatus } from "../../../api/status.ts";
import { AssistantError } from "../../../core/errors.ts";
import type { Caller } from "../../../core/inference.ts";
import type { ModelSpec } from "../../../core/model.ts";
import { anyCapable, type ModelDirectory, modelsFor, notFound, requireModel } from "../../../inference/resolve.ts";
import { actOn } from "../../../registry/act.ts";
import { selectorOf } from "../../front/selector.ts";
import type { ControlPort } from "../../ports.ts";
import { MODEL_VERSION } from "./answer.ts";
import type { Target } from "./handler.ts";
import { type TensorMetadata, type TensorOperation, tensorsOf } from "./model-tensors.ts";
import type { InferRequest, Named } from "./request.ts";

/** The fields that select a request's model. */
type Asked = Named & Pick<InferRequest, "capabilities">;

/** Possible operations, the most common first. */
const OPERATIONS: readonly (TensorOperation | "tensors")[] = ["tensors", "completion", "chat", "embedding"];

export interface KserveModelsOptions {
  readonly directory: ModelDirectory;
  readonly control: Pick<ControlPort, "status" | "modelAct" | "isDrained">;
  readonly version: string;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
  readonly isStopping: () => boolean;
}

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** A model in the index of the repository. */
export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: "READY" | "UNAVAILABLE";
  readonly reason: string;
}

/** The protocol's information about the server and its models, for HTTP and gRPC alike. */
export class KserveModels {
  readonly #options: KserveModelsOptions;

  constructor(options: KserveModelsOptions) {
    this.#options = options;
  }

  get onlyModels(): readonly string[] | null {
    return this.#options.onlyModels;
  }

  server(): ServerMetadata {
    const extensions = ["binary_tensor_data", "generate", "model_repository", "parameters", "schedule_policy"];
    return { name: "assistant", version: this.#options.version, extensions };
  }

  isReady(): boolean {
    return !this.#options.isStopping() && !this.#options.control.isDrained();
  }

  /**
   * The model that a request is parsed for; undefined: there is none, which the core reports. Throws `invalid_request`
   * if none is named.
   */
  asked(request: Asked, headers: IncomingHttpHeaders): ModelSpec | undefined {
    const { directory, onlyModels } = this.#options;
    const { model, version } = request;
    requireVersion(model, version);
    const selector = selectorOf(headers, request, onlyModels);
    if (selector.capabilities !== undefined) return anyCapable(directory, selector, OPERATIONS);
    const name = onlyModels === null || onlyModels.includes(model) ? model : (onlyModels[0] ?? model);
    if (name === "")
      throw new AssistantError("invalid_request", "The request names no model.", {
        param: "model_name",
        remedy: "Name one in model_name; RepositoryIndex lists them.",
      });
    return directory.find(name) ?? directory.fallback?.("completion");
  }

  /** Throws `model_not_found` or `insufficient_scope`. */
  metadata(caller: Caller, named: Named): ModelMetadata {
    const model = this.#find(caller, named);
    return { name: named.model, versions: [MODEL_VERSION], platform: platformOf(model), ...tensorsOf(model) };
  }

  /** Whether requests for the model can be served, even if they must wait for it to load. Throws like `metadata`. */
  async isModelReady(caller: Caller, named: Named): Promise<boolean> {
    const { name } = this.#find(caller, named);
    return this.isReady() && faultOf(await this.#options.control.status(), name) === null;
  }

  async index(caller: Caller, { readyOnly }: { readonly readyOnly: boolean }): Promise<IndexEntry[]> {
    const status = await this.#options.control.status();
    const entries = this.#visible(caller).map(({ name }): IndexEntry => {
      const fault = faultOf(status, name);
      return { name, version: MODEL_VERSION, state: fault === null ? "READY" : "UNAVAILABLE", reason: fault ?? "" };
    });
    return readyOnly ? entries.filter(({ state }) => state === "READY") : entries;
  }

  /**
   * Loads or unloads a model, and resolves when that is done. Rejects with the reason of a failure, or with the
   * signal's reason.
   */
  async act(caller: Caller, name: string, action: "load" | "unload", signal: AbortSignal): Promise<void> {
    const { control } = this.#options;
    const model = this.#find(caller, { model: name, version: "" });
    if (model.nodes !== undefined || model.source.type === "provider")
      throw new AssistantError(
        "invalid_request",
        `${model.name} runs elsewhere; it cannot be ${action}ed on this machine.`,
        {
          param: "model_name",
          remedy: "Only models of this machine can be loaded and unloaded.",
        },
      );
    await actOn({ status: () => control.status(), act: control.modelAct }, model.name, action, { signal });
  }

  /**
   * The same with the core's selector. A handler may be called by the `type` of its capability, with its `model` as
   * version.
   */
  target(request: Asked, headers: IncomingHttpHeaders): Target {
    const { directory, onlyModels } = this.#options;
    const { model, version } = request;
    if (model !== "" && directory.find(model) === undefined) {
      const { capabilities } = selectorOf(headers, request, null);
      const query = {
        ...capabilities,
        type: model,
        ...(version === "" || version === MODEL_VERSION ? {} : { model: version }),
      };
      const spec = anyCapable(directory, { model: "", among: onlyModels, capabilities: query }, ["tensors"]);
      if (spec !== undefined) return { spec, model: "", capabilities: query };
    }
    const { capabilities } = request;
    return { spec: this.asked(request, headers), model, ...(capabilities === undefined ? {} : { capabilities }) };
  }

  #visible(caller: Caller): readonly ModelSpec[] {
    const { directory, onlyModels } = this.#options;
    const all = modelsFor(caller, directory);
    return onlyModels === null ? all : all.filter(({ name }) => onlyModels.includes(name));
  }

  #find(caller: Caller, { model: name, version }: Named): ModelSpec {
    const { directory } = this.#options;
    const byType = (): ModelSpec | undefined =>
      anyCapable(directory, { model: "", among: null, capabilities: { type: name } }, ["tensors"]);
    const model = directory.find(name) ?? byType();
    if (model !== undefined) requireModel(caller, model);
    const visible = this.#visible(caller);
    if (model === undefined || !visible.includes(model)) throw notFound(visible, name);
    requireVersion(name, version);
    return model;
  }
}

function requireVersion(name: string, version: string): void {
  if (version === "" || version === MODEL_VERSION) return;
  throw new AssistantError(
    "model_not_found",
    `${JSON.stringify(name.slice(0, 100))} has no version ${JSON.stringify(version.slice(0, 20))}; every model only has the version ${MODEL_VERSION}.`,
    { param: "model_version" },
  );
}

/** Why the model cannot be served now, or null. */
const faultOf = ({ models }: DaemonStatus, name: string): string | null =>
  models.find((model) => model.name === name)?.error ?? null;

const platformOf = ({ nodes, source, engine }: ModelSpec): string =>
  source.type === "provider" || source.type === "worker" ? source.type : nodes === undefined ? engine : "remote";
