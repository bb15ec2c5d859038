import type { Static } from "typebox";
import { Type } from "../core/schema.ts";

/** `GET /v1.0/workers`. */
export const WorkersReport = Type.Object({
  workers: Type.Array(
    Type.Object({
      name: Type.String(),
      endpoint: Type.String(),
      protocol: Type.String(),
      slots: Type.Number({ description: "requests it works on at once" }),
      capabilities: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
      inFlight: Type.Number({ description: "requests of this daemon that it works on" }),
      reserved: Type.Number({ description: "places reserved for a chat" }),
      seenAt: Type.Number({ description: "last sign of life, epoch milliseconds" }),
    }),
  ),
});
export type WorkersReport = Static<typeof WorkersReport>;
