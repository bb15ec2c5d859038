import type { ErrorBody } from "../../api/status.ts";
import type { AssistantError } from "../../core/errors.ts";
import type { Door } from "./door.ts";
import { apiKeyOf, bearerOf } from "./keys.ts";

/** The format of errors of OpenAI's clients, which our own routes also use. */
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

/** The common part of OpenAI's door and of our own routes. */
export const bearerDoor: Omit<Door, "name" | "register"> = {
  scope: "inference",
  inference: [],
  credential: (headers) => bearerOf(headers.authorization) ?? apiKeyOf(headers["x-api-key"]),
  errorBody,
  errorEvent: (error, requestId) => Buffer.from(`data: ${JSON.stringify(errorBody(error, requestId))}\n\n`),
};
