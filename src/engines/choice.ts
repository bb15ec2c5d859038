import type { Documents, DocumentType } from "../core/documents.ts";
import { AssistantError } from "../core/errors.ts";
import type { EngineId } from "../core/model.ts";
import { builtBinary } from "./llama-server/layout.ts";

/** The engine used for `engine = "auto"` on this machine, as set by `assistant engine use`. */
export interface EngineChoice {
  readonly engine: EngineId | "auto";
  /** A llama-server of the user's, or null: the built one, then the one on the PATH. */
  readonly llamaServerPath: string | null;
}

export const NO_CHOICE: EngineChoice = { engine: "auto", llamaServerPath: null };

/** Where engines are built and the choice is stored. */
export interface EngineFolder {
  readonly enginesDir: string;
  readonly choices: Documents;
}

const NAME = "choice";

const choiceDocument: DocumentType<EngineChoice> = {
  title: "choice of an engine",
  schema: 1,
  durable: true,
  parse(value) {
    const { engine, llamaServerPath } = (value ?? {}) as Partial<EngineChoice>;
    const known = engine === "auto" || engine === "llama-server" || engine === "node-llama-cpp";
    return known && (llamaServerPath === null || typeof llamaServerPath === "string")
      ? { engine, llamaServerPath }
      : null;
  },
  // A different engine than the selected one must not run unnoticed.
  refuse: (file) =>
    new AssistantError(
      "config_invalid",
      `${file} should contain {"engine": "auto" | "llama-server" | "node-llama-cpp", "llamaServerPath": path or null}.`,
      {
        remedy: "Run `assistant engine use auto` to rewrite it.",
      },
    ),
};

/** Files whose change may change the program for `engine = "auto"`: the choice, and the link to the build in use. */
export const engineFiles = ({ enginesDir, choices }: EngineFolder): readonly string[] => [
  choices.locate(NAME),
  builtBinary(enginesDir),
];

/** The remembered choice; `auto` where none was made. Throws `config_invalid` when the document is damaged. */
export const readEngineChoice = async ({ choices }: Pick<EngineFolder, "choices">): Promise<EngineChoice> =>
  (await choices.read(NAME, choiceDocument)) ?? NO_CHOICE;

/** Returns where the choice is kept. */
export async function writeEngineChoice(
  { choices }: Pick<EngineFolder, "choices">,
  choice: EngineChoice,
): Promise<string> {
  await choices.write(NAME, choiceDocument, choice);
  return choices.locate(NAME);
}
