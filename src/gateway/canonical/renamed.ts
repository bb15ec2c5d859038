import { AssistantError } from "../../core/errors.ts";

/** Paths in a canonical body, and the client's fields from which they were translated. */
export type FieldNames = ReadonlyMap<string, string>;

/** An error about a field of the canonical body, with the client's own names. */
export function renamedError(error: AssistantError, names: FieldNames): AssistantError {
  const { code, message, param, remedy, retryAfterS, counts, cause } = error;
  const own = param === null ? null : ownName(param, names);
  if (param === null || own === null) return error;
  return new AssistantError(code, message.replaceAll(param, own), {
    param: own,
    ...(remedy === null ? {} : { remedy }),
    ...(retryAfterS === null ? {} : { retryAfterS }),
    ...(counts === null ? {} : { counts }),
    cause,
  });
}

/** By the longest matching path. */
function ownName(param: string, names: FieldNames): string | null {
  for (
    let end = param.length;
    end > 0;
    end = Math.max(param.lastIndexOf(".", end - 1), param.lastIndexOf("[", end - 1))
  ) {
    const own = names.get(param.slice(0, end));
    if (own !== undefined) return own + param.slice(end);
  }
  return null;
}
