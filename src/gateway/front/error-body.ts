import type { ErrorBody } from "../../api/status.ts";
import type { AssistantError } from "../../core/errors.ts";
import type { Door } from "./door.ts";
import { apiKeyOf, bearerOf } from "./keys.ts";

/** The shape of errors that OpenAI's clients read, which our own routes use too. */
export function errorBody(error: AssistantError, requestId: string): ErrorBody {
  return {
    error: {
      message: error.message,
      type: error.type,
      param: error.param,
      code: error.code,
      ...(error.remedy === null ? {} : { remedy: error.remedy }),
      request_id: requestId,
      ...error.counts,
    },
  };
}

/** What OpenAI's door and those of our own routes have in common. */
export const bearerDoor: Omit<Door, "name" | "register"> = {
  scope: "inference",
  inference: [],
  credential: (headers) => bearerOf(headers.authorization) ?? apiKeyOf(headers["x-api-key"]),
  errorBody,
  errorEvent: (error, requestId) => Buffer.from(`data: ${JSON.stringify(errorBody(error, requestId))}\n\n`),
};
