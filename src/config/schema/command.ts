import { placeholders, stopSignals } from "../../core/command.ts";
import { Type } from "../../core/schema.ts";
import { choice, flag, freeTable, integer, list, section, text } from "./kit.ts";

export const CommandSection = section(
  {
    run: list(
      Type.String({ minLength: 1 }),
      `Program and arguments; no shell is involved. In braces: ${Object.entries(placeholders)
        .map(([name, meaning]) => `\`{${name}}\` ${meaning}`)
        .join("; ")}. It must have \`{port}\` or \`{socket}\`.`,
      { required: true },
    ),
    operations: list(
      Type.Enum(["chat", "completion", "embedding", "rerank", "image", "speech", "transcription", "translation"]),
      "What the program answers.",
      {
        defaultText: "all that the section's kind of model does",
      },
    ),
    served_model: text(
      "Written as `model` into every request, for programs that know one name only; `{name}` is the model's. Without it requests are passed on as they are.",
      { default: "" },
    ),
    health_path: text("Answers GET with a status of 200 to 299 once the program is ready.", {
      default: "/health",
      pattern: "^/[\\x21-\\x7e]*$",
      patternText: 'a path such as "/health"',
    }),
    env: freeTable(Type.String({ secret: true }), "Environment of the program, where placeholders may be used too.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      keysText: "the name of a variable",
    }),
    pass_env: list(
      Type.String({ minLength: 1 }),
      "Variables that it inherits of the daemon's environment, such as `HF_TOKEN`. Others than `PATH`, `HOME` and those of GPUs are kept from it.",
      { default: [] },
    ),
    working_dir: text("Directory it runs in; relative to this file.", { defaultText: "the daemon's" }),
    stop_signal: choice([...stopSignals], "Asks the program to end.", { default: "SIGTERM" }),
    stop_grace_s: integer("From that signal to SIGKILL.", { minimum: 0, maximum: 60, default: 10, unit: "s" }),
    memory_mib: integer("Memory that one instance takes on its device, as far as is known before it runs.", {
      minimum: 1,
      unit: "MiB",
      defaultText: "as measured, once an instance has run",
    }),
    own_listener: flag(
      "Take only a process that the program has started for the one behind `{port}`. `false` for containers, whose port is opened by another program.",
      { default: true },
    ),
  },
  "The program of this file's models with `engine = \"command\"`: any server with OpenAI's API.",
);
