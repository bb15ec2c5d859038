/**
 * Workers in TypeScript: programs that register with the daemon and serve a model, or capabilities
 * (`assistant/worker`).
 */
export {
  type Capability,
  type Elements,
  type Handler,
  type HandlerContext,
  type HandlerRequest,
  type HandlerStream,
  type ObjectRef,
  type Objects,
  type StreamHandler,
  type Tensor,
  type TensorMap,
  WorkerApp,
  type WorkerHandlers,
} from "../handlers/worker.ts";
export { AssistantModel } from "./assistant-model.ts";
export { DocumentQaProcess } from "./document-qa.ts";
export { ContextualCC, FinalUserFilter, OpenCC } from "./filters.ts";
export { Layout, type LayoutParts } from "./layout.ts";
export { DEFAULT_LAYOUT, defaultLayout, type LayoutOptions, loadLayout } from "./layout-file.ts";
export { DummyModel, ReflectModel, SlowReflectProcess } from "./models.ts";
export type {
  ChatRecord,
  ClassContext,
  CompletionInterface,
  GeneralProcessInterface,
  Pieces,
  RequestContext,
  Role,
  TextLevelFilteringInterface,
} from "./records.ts";
export { type WorkerEnvironment, type WorkerSettings, workerSettings } from "./settings.ts";
export { type RunOptions, runWorker } from "./worker.ts";
