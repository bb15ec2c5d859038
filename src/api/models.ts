import type { Static, TSchema } from "typebox";
import { Type } from "../core/schema.ts";

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** One model as `list --json` prints it. */
export const ListedModel = Type.Object({
  name: Type.String(),
  aliases: Type.Array(Type.String()),
  kind: Nullable(Type.String()),
  capabilities: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
    description: "what it offers, as far as its configuration and its weights say",
  }),
  bytes: Nullable(Type.Number()),
  quantization: Nullable(Type.String()),
  trainContextTokens: Nullable(Type.Number()),
  source: Type.String(),
  program: Nullable(Type.String({ description: 'program that runs it (`engine = "command"`)' })),
  file: Nullable(Type.String()),
  readable: Type.Boolean({ description: "the file is here and is a model; a damaged one is not" }),
  problem: Nullable(Type.String({ description: "what is wrong with the file" })),
  contextTokens: Nullable(Type.Number({ description: "of one request, as configured" })),
  pulledAt: Nullable(Type.Number({ description: "epoch milliseconds" })),
  configured: Type.Boolean(),
  loaded: Type.Boolean(),
  providers: Type.Array(Type.String(), { description: "that serve it; none where it runs here" }),
});
export type ListedModel = Static<typeof ListedModel>;

/** A model that no engine of this machine runs, as the daemon knows it. */
export const ModelElsewhere = Type.Object({
  name: Type.String(),
  aliases: Type.Array(Type.String()),
  kind: Type.String(),
  nodes: Type.Array(Type.String(), {
    description: "remote servers that are up and have it; none for a provider's",
  }),
  provider: Nullable(Type.String({ description: "the provider that offers it" })),
  servedBy: Type.Enum(["remote", "worker", "pipeline", "provider"]),
});
export type ModelElsewhere = Static<typeof ModelElsewhere>;

/** Everything that is configured or pulled, and what is only elsewhere. */
export const ModelList = Type.Object({
  configFile: Type.String(),
  models: Type.Array(ListedModel),
  elsewhere: Type.Array(ModelElsewhere),
  problem: Nullable(Type.String({ description: "why the configuration in force is not the one that is written" })),
});
export type ModelList = Static<typeof ModelList>;
