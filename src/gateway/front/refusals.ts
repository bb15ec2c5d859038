import type { AssistantError, ErrorCode } from "../../core/errors.ts";
import type { Log } from "../../inference/ports.ts";

export interface RefusalPorts {
  readonly log: Log;
  /** Called for each request refused by the guards. */
  readonly refused: (code: ErrorCode) => void;
}

/** Counts a request refused by the guards, and logs it. */
export function noteRefusal(
  { log, refused }: RefusalPorts,
  { id, clientId = null, method, path }: Refused,
  { code, status, message }: AssistantError,
): void {
  refused(code);
  log.info(
    {
      id,
      ...(clientId === null ? {} : { clientId }),
      method: method?.slice(0, 20),
      path: path.slice(0, 200),
      status,
      code,
      error: message,
    },
    "refused",
  );
}

interface Refused {
  readonly id: string;
  readonly clientId?: string | null;
  readonly method: string | undefined;
  /** Without query. */
  readonly path: string;
}
