import type { IncomingMessage, ServerResponse } from "node:http";
import { tooSlow } from "./body.ts";
import { errorBody } from "./error-body.ts";
import { type ClientPace, watchPace } from "./pace.ts";
import { sendError } from "./send-error.ts";

/** Aborts a request on fastify whose body arrives too slowly. Bodies of inference are watched where they are read. */
export function refuseSlowBody(request: IncomingMessage, response: ServerResponse, { bodyMs }: ClientPace): void {
  const { "content-length": length = "0", "transfer-encoding": encoding } = request.headers;
  if (length === "0" && encoding === undefined) return;
  const { socket } = request;
  const endWatch = watchPace(
    () => socket.bytesRead,
    bodyMs,
    () => {
      if (request.complete || response.headersSent) return;
      const id = String(response.getHeader("x-request-id") ?? "");
      sendError(response, tooSlow(), errorBody(tooSlow(), id), ["Connection", "close"]);
      socket.destroySoon();
    },
  );
  request.once("end", endWatch);
  response.once("close", endWatch);
}
