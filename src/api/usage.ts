import type { Static } from "typebox";
import { Type } from "../core/schema.ts";

/** What one tenant (API key) has used of one model. */
export const UsageRow = Type.Object({
  tenant: Type.String({ description: "the key's name; `local` where none is asked for" }),
  model: Type.String({ description: "empty for requests that were refused before their model was known" }),
  requests: Type.Number(),
  failed: Type.Number({ description: "those among them that ended with an error" }),
  promptTokens: Type.Number({ description: "cached ones among them" }),
  cachedTokens: Type.Number({ description: "prompt tokens that were not computed again" }),
  completionTokens: Type.Number(),
  characters: Type.Optional(Type.Number({ description: "characters that were spoken" })),
  audioSeconds: Type.Optional(Type.Number({ description: "seconds of sound that were made or heard" })),
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
