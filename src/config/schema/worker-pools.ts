import { Type } from "../../core/schema.ts";
import { decimal, entries, integer, list, requiredText, text } from "./kit.ts";

const WorkerPoolEntry = Type.Object(
  {
    name: requiredText("Name in messages.", {
      pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
      patternText: "up to 64 letters, digits and . _ -",
    }),
    command: list(
      Type.String({ minLength: 1 }),
      "Program and arguments. It serves the Open Inference Protocol over HTTP on 127.0.0.1 at the port given by " +
        "`{port}`, as `assistant worker run MODULE --port {port}` does.",
      { required: true },
    ),
    capabilities: Type.Optional(
      Type.Array(
        Type.Record(
          Type.String({ pattern: "^[a-z][a-z0-9_.-]{0,63}$" }),
          Type.Union([Type.String(), Type.Number(), Type.Boolean()], {
            patternText: "a string, a number, true or false",
          }),
          {
            additionalProperties: false,
            keysText: "up to 64 lower-case letters, digits and _ . -, beginning with a letter",
          },
        ),
        { description: 'Capabilities of its handlers, such as `[{ type = "echo" }]`.', required: true },
      ),
    ),
    working_dir: text("Working directory; relative to this file.", { defaultText: "the directory of this file" }),
    min: integer("Processes that keep running while idle.", { minimum: 0, maximum: 64, default: 0 }),
    max: integer("Maximum number of processes; another one is started while all are busy with `slots` requests each.", {
      minimum: 1,
      maximum: 64,
      default: 1,
    }),
    slots: integer("Concurrent requests of one process. More wait, up to `[scheduler] max_queued_per_model`.", {
      minimum: 1,
      maximum: 1_000,
      default: 1,
    }),
    idle_s: decimal("Time without a request after which a process is stopped.", {
      exclusiveMinimum: 0,
      default: 300,
      unit: "s",
    }),
    start_timeout_s: decimal("How long a process may take until `/v2/health/ready` answers 200.", {
      exclusiveMinimum: 0,
      default: 60,
      unit: "s",
    }),
  },
  { additionalProperties: false },
);

/** `[[worker_pools]]` of config.toml. */
export const WorkerPools = entries(
  WorkerPoolEntry,
  "Workers that are started when a request asks for their capabilities, and stopped when idle.",
);
