import type { JsonSchema } from "../../../core/schema.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { readJson } from "../../front/json-body.ts";
import { type ConversationRoutesOptions, registerConversationRoutes } from "./conversations.ts";
import { type EmbeddingRoutesOptions, registerEmbeddingRoutes } from "./embeddings.ts";
import { errorBody } from "./error-body.ts";
import { type ModelRoutesOptions, registerModelRoutes } from "./models.ts";
import { type MonitorRoutesOptions, registerMonitorRoutes } from "./monitor.ts";
import { registerTaskRoutes, type TaskRoutesOptions } from "./tasks.ts";

/** The API of SOP LLM Executor, under `/api/v1`. Reads require the scope `inference`, changes `admin`. */
export const apiV1Door = (
  options: ModelRoutesOptions &
    EmbeddingRoutesOptions &
    TaskRoutesOptions &
    ConversationRoutesOptions &
    MonitorRoutesOptions,
): Door => ({
  ...bearerDoor,
  name: "api-v1",
  errorBody,
  errorSchema: ERROR,
  namesTrace: true,
  errorEvent: (error, requestId) => Buffer.from(`data: ${JSON.stringify(errorBody(error, requestId))}\n\n`),
  register(app) {
    // Clients send a content type with every request, even without a body.
    app.removeContentTypeParser("application/json");
    app.addContentTypeParser("application/json", { parseAs: "buffer" }, readJson);
    registerModelRoutes(app, options);
    registerEmbeddingRoutes(app, options);
    registerTaskRoutes(app, options);
    registerConversationRoutes(app, options);
    registerMonitorRoutes(app, options);
  },
});

const ERROR: JsonSchema = {
  title: "ApiV1Error",
  type: "object",
  required: ["error", "message", "trace_id"],
  properties: {
    error: { type: "string" },
    message: { type: "string" },
    details: { type: ["object", "null"] },
    trace_id: { type: "string" },
  },
};
