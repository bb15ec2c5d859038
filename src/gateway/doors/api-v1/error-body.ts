import type { AssistantError } from "../../../core/errors.ts";

/** An error in this API's shape. */
export function errorBody({ code, message, param, remedy, counts }: AssistantError, requestId: string): object {
  const details = {
    ...(param === null ? {} : { param }),
    ...(remedy === null ? {} : { remedy }),
    ...counts,
  };
  return { error: code, message, details: Object.keys(details).length > 0 ? details : null, trace_id: requestId };
}
