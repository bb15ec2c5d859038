import type { Static } from "typebox";
import { Type } from "../core/schema.ts";

/** Usage of one model by one tenant (API key). */
export const UsageRow = Type.Object({
  tenant: Type.String({ description: "the key's name; `local` for requests without a key" }),
  model: Type.String({ description: "empty for requests that were refused before their model was known" }),
  requests: Type.Number(),
  failed: Type.Number({ description: "requests that ended with an error" }),
  promptTokens: Type.Number({ description: "including cached ones" }),
  cachedTokens: Type.Number({ description: "prompt tokens that were read from the cache" }),
  completionTokens: Type.Number(),
  characters: Type.Optional(Type.Number({ description: "spoken characters" })),
  audioSeconds: Type.Optional(Type.Number({ description: "seconds of generated or transcribed audio" })),
});
export type UsageRow = Static<typeof UsageRow>;

/** The same on one day, in UTC. */
export const UsageDay = Type.Object({ day: Type.String({ description: "YYYY-MM-DD" }), ...UsageRow.properties });
export type UsageDay = Static<typeof UsageDay>;

export const UsageByDay = Type.Object({ days: Type.Array(UsageDay, { description: "newest first" }) });
export type UsageByDay = Static<typeof UsageByDay>;

export const UsageReport = Type.Object({
  since: Type.Number({ description: "epoch milliseconds" }),
  usage: Type.Array(UsageRow),
});
export type UsageReport = Static<typeof UsageReport>;
