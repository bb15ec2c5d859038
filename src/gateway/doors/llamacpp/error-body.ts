import type { AssistantError, ErrorCode } from "../../../core/errors.ts";

/** llama-server's names for some of our codes; the others follow from their status. */
const TYPES: Readonly<Partial<Record<ErrorCode, string>>> = {
  context_length_exceeded: "exceed_context_size_error",
  unsupported_capability: "not_supported_error",
};

const TYPES_BY_STATUS: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  503: "unavailable_error",
};

/** An error in llama-server's format, whose `code` is the status, with our additional fields. */
export function errorBody(error: AssistantError, requestId: string): object {
  const { code, status, message, param, remedy, counts } = error;
  const other = status < 500 ? "invalid_request_error" : "server_error";
  return {
    error: {
      code: status,
      message,
      type: TYPES[code] ?? TYPES_BY_STATUS[status] ?? other,
      ...(param === null ? {} : { param }),
      ...(remedy === null ? {} : { remedy }),
      request_id: requestId,
      ...counts,
    },
  };
}
