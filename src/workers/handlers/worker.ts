export type { ObjectRef, Objects } from "./objects.ts";
export type { Elements, Tensor, TensorMap } from "./tensors.ts";
export {
  type Capability,
  type Handler,
  type HandlerContext,
  type HandlerRequest,
  type HandlerStream,
  type StreamHandler,
  WorkerApp,
  type WorkerHandlers,
} from "./worker-app.ts";
