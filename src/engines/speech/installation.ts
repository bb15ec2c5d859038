import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** What speech can be made with on this machine. */
export interface SpeechInstallation {
  readonly espeak: { readonly program: string; readonly version: string } | null;
  /** Version of sherpa-onnx; null where its package is not installed, or not for this system. */
  readonly sherpa: string | null;
  /** Folder of espeak-ng's data, which Piper voices need; null if there is none. */
  readonly phonemeData: string | null;
}

const VERSION_TIMEOUT_MS = 5_000;
/** Common locations of espeak-ng's data, in addition to Debian's folders for each architecture. */
const DATA_FOLDERS = [
  "/usr/share/espeak-ng-data",
  "/usr/lib/espeak-ng-data",
  "/usr/lib64/espeak-ng-data",
  "/usr/local/share/espeak-ng-data",
  "/opt/homebrew/share/espeak-ng-data",
];

/** Looks for programs along `pathVariable`. Runs espeak-ng once, for its version. */
export async function findSpeech(pathVariable: string): Promise<SpeechInstallation> {
  const program = await firstOf(pathVariable.split(delimiter).filter(Boolean), "espeak-ng", constants.X_OK);
  const said = program === null ? "" : await versionOf(program);
  const version = /: (\d[\w.-]*)/.exec(said)?.[1];
  const stated = /Data at: (.+?)\s*$/.exec(said)?.[1];
  return {
    espeak: program === null || version === undefined ? null : { program, version },
    sherpa: sherpaVersion(),
    phonemeData: await findPhonemeData(stated === undefined ? [] : [stated]),
  };
}

async function findPhonemeData(stated: readonly string[]): Promise<string | null> {
  const debian = (await readdir("/usr/lib").catch(() => []))
    .filter((name) => /-linux-(gnu|musl)/.test(name))
    .map((name) => join("/usr/lib", name, "espeak-ng-data"));
  const table = await firstOf([...stated, ...debian, ...DATA_FOLDERS], "phontab", constants.R_OK);
  return table === null ? null : join(table, "..");
}

// Not by execa, whose 111 modules a daemon would load at each start.
const versionOf = (program: string): Promise<string> =>
  promisify(execFile)(program, ["--version"], { timeout: VERSION_TIMEOUT_MS }).then(
    ({ stdout }) => stdout,
    () => "",
  );

function sherpaVersion(): string | null {
  try {
    const require = createRequire(import.meta.url);
    const { version } = require("sherpa-onnx-node/package.json") as { version: string };
    // Its compiled part is a package for each system, of which those for others are not installed.
    const platform = process.platform === "win32" ? "win" : process.platform;
    require.resolve(`sherpa-onnx-${platform}-${process.arch}/sherpa-onnx.node`);
    return version;
  } catch {
    return null;
  }
}

/** The first file of that name in the folders that may be used so, or null. */
async function firstOf(folders: readonly string[], name: string, mode: number): Promise<string | null> {
  for (const folder of folders) {
    const file = join(folder, name);
    const usable = await access(file, mode).then(
      () => true,
      () => false,
    );
    if (usable) return file;
  }
  return null;
}
