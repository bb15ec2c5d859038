import { WORKER_FAILED } from "../../../core/worker.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { chatRoute } from "./chat.ts";
import { registerWorkerRoutes, type WorkerRoutesOptions } from "./routes.ts";

/** The worker framework: programs that register themselves, and chats that reserve them. */
export const workerFrameworkDoor = (options: WorkerRoutesOptions): Door => ({
  ...bearerDoor,
  name: "worker-framework",
  inference: [chatRoute(options.workers)],
  errorBody: ({ message, remedy }) => ({ message: remedy === null ? message : `${message} ${remedy}` }),
  errorSchema: { type: "object", properties: { message: { type: "string" } }, required: ["message"] },
  // A stream of this dialect is plain text, and its clients recognise this sentence.
  errorEvent: () => Buffer.from(WORKER_FAILED),
  register: (app) => registerWorkerRoutes(app, options),
});
