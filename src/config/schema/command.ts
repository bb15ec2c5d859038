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
      "Operations that the program supports.",
      { defaultText: "all that the section's kind of model does" },
    ),
    served_model: text(
      "Value of `model` in every request, for programs that accept a single name; `{name}` is the model's name. " +
        "If empty, requests are passed on unchanged.",
      { default: "" },
    ),
    health_path: text("Path that answers GET with status 200 to 299 once the program is ready.", {
      default: "/health",
      pattern: "^/[\\x21-\\x7e]*$",
      patternText: 'a path such as "/health"',
    }),
    env: freeTable(Type.String({ secret: true }), "Environment variables of the program. Placeholders may be used.", {
      pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
      keysText: "the name of a variable",
    }),
    pass_env: list(
      Type.String({ minLength: 1 }),
      "Variables to inherit from the daemon's environment, such as `HF_TOKEN`, in addition to `PATH`, " +
        "`HOME` and those of GPUs.",
      { default: [] },
    ),
    working_dir: text("Working directory; relative to this file.", { defaultText: "the daemon's" }),
    stop_signal: choice([...stopSignals], "Signal that asks the program to exit.", { default: "SIGTERM" }),
    stop_grace_s: integer("Time between that signal and SIGKILL.", { minimum: 0, maximum: 60, default: 10, unit: "s" }),
    memory_mib: integer("Memory of one instance on its device, before it has been measured.", {
      minimum: 1,
      unit: "MiB",
      defaultText: "as measured, once an instance has run",
    }),
    own_listener: flag(
      "Whether the program itself (or a process that it starts) must listen on `{port}`. " +
        "Use `false` for containers, whose port is opened by another program.",
      { default: true },
    ),
  },
  "The program of this file's models with `engine = \"command\"`: any server with OpenAI's API.",
);
