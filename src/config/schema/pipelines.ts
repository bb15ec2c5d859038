import type { Static } from "typebox";
import { Type } from "../../core/schema.ts";
import { flag, freeTable, integer, requiredText, section, text } from "./kit.ts";

/** `[pipelines]` of config.toml. */
export const PipelineSection = section(
  {
    addr: text(
      'Address at whose root the pipeline marked `default` answers, `host:port`, such as "127.0.0.1:3421"; `""`: none.',
      { default: "" },
    ),
  },
  "Pipelines: models made of stages; docs/pipelines.md has their files.",
);

/** `pipelines/NAME.toml`. Stages and the source are checked against the schema of their kind. */
export const PipelineFile = Type.Object(
  {
    description: text("What the pipeline is for; shown in lists."),
    default: flag("Answer at the root of the pipelines' own listener (`[pipelines] addr`).", { default: false }),
    queue: integer("Values that may wait between two stages.", { minimum: 1, maximum: 10_000, default: 16 }),
    max_concurrency: integer("Requests that the pipeline answers at once; further ones wait.", {
      minimum: 1,
      maximum: 10_000,
      default: 64,
    }),
    stages: Type.Optional(Type.Array(Type.Unsafe<Record<string, unknown>>({ type: "object" }))),
    awake: freeTable(
      Type.Object(
        {
          text: requiredText("What is said."),
          audio: text("A sound file; relative to this file. Default: the pipeline speaks the text."),
        },
        { additionalProperties: false },
      ),
      "Greetings by voice.",
      { pattern: "^.+$", keysText: "the name of a voice" },
    ),
    source: Type.Optional(Type.Unsafe<Record<string, unknown>>({ type: "object" })),
  },
  { additionalProperties: false },
);
export type PipelineFile = Static<typeof PipelineFile>;

/** Keys that every stage has. */
export const commonStageKeys = {
  use: requiredText("The kind of stage, or the path of a module."),
  name: text("What reports and errors call the stage. Default: its kind.", {
    pattern: "^[\\p{L}\\p{N}_.-]{1,64}$",
    patternText: "letters, digits, `_`, `.` and `-`",
  }),
  section: text(
    "The object of a request that holds the stage's options, such as `TTS`; `enable = false` in it turns the stage off.",
  ),
  to_client: flag("Whether what the stage writes for the client reaches the client.", { default: true }),
};
