import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import { type EmbeddingRoutesOptions, registerEmbeddingRoutes } from "./embeddings.ts";
import { errorBody } from "./error-body.ts";
import { type ModelRoutesOptions, registerModelRoutes } from "./models.ts";
import { registerTaskRoutes, type TaskRoutesOptions } from "./tasks.ts";

/** The API of SOP LLM Executor, under `/api/v1`. Reads are for keys that use models, what changes anything for `admin`. */
export const apiV1Door = (options: ModelRoutesOptions & EmbeddingRoutesOptions & TaskRoutesOptions): Door => ({
  ...bearerDoor,
  name: "api-v1",
  errorBody,
  errorEvent: (error, requestId) => Buffer.from(`data: ${JSON.stringify(errorBody(error, requestId))}\n\n`),
  register(app) {
    // Clients name the type of a body on every request, of those too that have none.
    const parse = app.getDefaultJsonParser("error", "error");
    app.addContentTypeParser<string>("application/json", { parseAs: "string" }, (request, body, done) => {
      if (body === "") done(null, undefined);
      else parse(request, body, done);
    });
    registerModelRoutes(app, options);
    registerEmbeddingRoutes(app, options);
    registerTaskRoutes(app, options);
  },
});
