import type { Static } from "typebox";
import { Type } from "../../core/schema.ts";
import { flag, freeTable, integer, requiredText, section, text } from "./kit.ts";

/** `[pipelines]` of config.toml. */
export const PipelineSection = section(
  {
    addr: text(
      'Address, `host:port`, that serves the pipeline marked `default` at its root, such as "127.0.0.1:3421"; `""`: none.',
      { default: "" },
    ),
  },
  "Pipelines, models built from stages; docs/pipelines.md describes their files.",
);

/** `pipelines/NAME.toml`. Stages and the source are checked against the schema of their kind. */
export const PipelineFile = Type.Object(
  {
    description: text("Description, shown in lists."),
    default: flag("Answer at the root of the pipelines' own listener (`[pipelines] addr`).", { default: false }),
    queue: integer("Values that may wait between two stages before the first one is held up.", {
      minimum: 1,
      maximum: 10_000,
      default: 16,
    }),
    max_concurrency: integer("Maximum number of concurrent requests; more wait.", {
      minimum: 1,
      maximum: 10_000,
      default: 64,
    }),
    stages: Type.Optional(Type.Array(Type.Unsafe<Record<string, unknown>>({ type: "object" }))),
    awake: freeTable(
      Type.Object(
        {
          text: requiredText("Text of the greeting."),
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
  use: requiredText("Kind of stage, or path of a module."),
  name: text("Name of the stage in reports and errors. Default: its kind.", {
    pattern: "^[\\p{L}\\p{N}_.-]{1,64}$",
    patternText: "letters, digits, `_`, `.` and `-`",
  }),
  section: text(
    "Name of the object in a request that holds the stage's options, such as `TTS`; " +
      "`enable = false` in it disables the stage.",
  ),
  to_client: flag("Whether the stage's frames are sent to the client.", { default: true }),
};
