import type { Voice } from "../../core/engine.ts";

/** A voice of espeak-ng, and the further names that it goes by. */
export interface EspeakVoice extends Voice {
  readonly aliases: readonly string[];
}

const LIST_TIMEOUT_MS = 10_000;
/** The default voice. */
const DEFAULT_VOICE = "en-us";

/** The voices that an espeak-ng has, English first; without those of MBROLA, which need another program. */
export async function espeakVoices(program: string): Promise<readonly EspeakVoice[]> {
  // 111 modules, of which a daemon without speech needs none.
  const { execa } = await import("execa");
  const { stdout } = await execa(program, ["--voices"], { timeout: LIST_TIMEOUT_MS, stdin: "ignore" });
  const voices = parseVoices(stdout);
  return [...voices.filter(({ id }) => id === DEFAULT_VOICE), ...voices.filter(({ id }) => id !== DEFAULT_VOICE)];
}

/** Reads the table that `espeak-ng --voices` prints. */
export function parseVoices(table: string): readonly EspeakVoice[] {
  const voices = table
    .split("\n")
    .slice(1)
    .flatMap((line): EspeakVoice[] => {
      const [, language, name, file, others] = /^\s*\d+\s+(\S+)\s+\S+\s+(\S+)\s+(\S+)\s*(.*)$/.exec(line) ?? [];
      if (language === undefined || name === undefined || file === undefined || file.startsWith("mb/")) return [];
      const aliases = [...(others ?? "").matchAll(/\((\S+) \d+\)/g)].map(([, alias]) => alias ?? "");
      return [{ id: language, name: name.replaceAll("_", " "), language, aliases }];
    });
  // A language may have several; its own name means the first, as with `-v`.
  return voices.filter(({ id }, index) => voices.findIndex((other) => other.id === id) === index);
}
