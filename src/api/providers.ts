import type { Static, TSchema } from "typebox";
import { Type } from "../core/schema.ts";

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** One provider, as this daemon sees it. Times are epoch milliseconds. */
export const ProviderStatus = Type.Object({
  name: Type.String(),
  type: Type.String(),
  baseUrl: Type.String(),
  state: Type.Union([Type.Literal("up"), Type.Literal("down"), Type.Literal("disabled")]),
  key: Type.Union([Type.Literal("set"), Type.Literal("missing"), Type.Literal("none")], {
    description: "missing: the configured key was not found; none: no key is configured",
  }),
  models: Type.Array(
    Type.Object({
      name: Type.String({ description: "as requests name it" }),
      kind: Type.String(),
      contextTokens: Nullable(Type.Number({ description: "if known" })),
    }),
  ),
  weight: Type.Number(),
  maxConcurrency: Type.Number({ description: "most requests at once" }),
  inFlight: Type.Number({ description: "requests that it works on now" }),
  requestsServed: Type.Number({ description: "requests that it has answered" }),
  firstByteMs: Nullable(Type.Number({ description: "recent time from a request to the first byte of its answer" })),
  lastError: Nullable(Type.String()),
  seenAt: Nullable(Type.Number({ description: "when it last answered" })),
  retryAt: Nullable(Type.Number({ description: "when an unavailable provider is checked again" })),
});
export type ProviderStatus = Static<typeof ProviderStatus>;
