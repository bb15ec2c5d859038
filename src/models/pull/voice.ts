import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { AssistantError, toAssistantError } from "../../core/errors.ts";
import { MAX_PIPER_CONFIG_BYTES, piperConfigFile } from "../../core/piper-voice.ts";
import { isVoiceFile, voicePart, voicesAmong } from "../voice.ts";
import { fill } from "./filled.ts";
import { PartialFile } from "./partial.ts";
import { tarFiles, tarMember } from "./tar.ts";
import { type Delivery, type Expected, nothingKnown, type Source } from "./types.ts";

/** A source that can return the beginning of a file, or all of a small one. */
export type OpenSource = Source & Required<Pick<Source, "peek">>;

/**
 * A Piper voice whose two files, `NAME.onnx` and its config, are at two addresses, and become one. `expected`: of
 * `NAME.onnx`, since of both in one no source has a digest.
 */
export function voiceSource(voice: Source, config: OpenSource, expected: Expected): Source {
  return {
    label: voice.label,
    async deliver(delivery) {
      // First, since it is small, and the voice is useless without it.
      const part = voicePart(await configText(config, delivery), `the voice's config from ${config.label}`);
      await fill(voice, { ...delivery, expected });
      await delivery.into.append(part);
      return nothingKnown;
    },
  };
}

async function configText(config: OpenSource, delivery: Delivery): Promise<string> {
  const { head } = await config.peek(MAX_PIPER_CONFIG_BYTES, delivery).catch((error: unknown) => {
    delivery.signal.throwIfAborted();
    const { code, message } = toAssistantError(error);
    throw new AssistantError(code, `the voice's config NAME.onnx.json: ${message}`, { cause: error });
  });
  return head.toString("utf8");
}

const ARCHIVE = /\.(?:tar(?:\.(?:bz2|gz|xz))?|tgz|tbz2?)$/i;

/**
 * Whether the file holds a voice's files, by its name: the archives in which Piper's and sherpa-onnx's voices are given
 * out.
 */
export const isVoiceArchive = (file: string): boolean => ARCHIVE.test(file);

export const withoutArchiveSuffix = (file: string): string => file.replace(ARCHIVE, "");

/**
 * A Piper voice in a tar archive; the machine's tar reads its two files, and unpacks nothing else. `expected`: of the
 * archive.
 */
export function voiceArchiveSource(archive: Source, expected: Expected): Source {
  return {
    label: archive.label,
    async deliver(delivery) {
      const { into, report, signal } = delivery;
      // Kept after an interruption, so that the next pull resumes it.
      const folder = `${into.path}.package`;
      await mkdir(folder, { recursive: true });
      const file = join(folder, "archive");
      const partial = new PartialFile(file, `${file}.json`);
      try {
        await fill(archive, { ...delivery, into: partial, expected });
      } finally {
        await partial.close();
      }
      const voice = voiceIn(await tarFiles(file, signal));
      const config: Buffer[] = [];
      await tarMember(file, piperConfigFile(voice), signal, async (chunk) => void config.push(chunk));
      const part = voicePart(Buffer.concat(config).toString("utf8"), piperConfigFile(basename(voice)));
      await into.restart(`archive:${archive.label}`);
      await tarMember(file, voice, signal, async (chunk) => {
        await into.append(chunk);
        report("extract", into.bytes, null);
      });
      await into.append(part);
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      return nothingKnown;
    },
  };
}

function voiceIn(files: readonly string[]): string {
  const voices = voicesAmong(files);
  const [voice] = voices;
  if (voice !== undefined && voices.length === 1) return voice;
  const lone = files.find(isVoiceFile);
  throw new AssistantError(
    "pull_failed",
    voice !== undefined
      ? `the archive has several voices: ${voices.join(", ")}`
      : lone !== undefined
        ? `the archive has ${lone} without ${piperConfigFile(lone)}, so that it is no Piper voice`
        : "the archive has no Piper voice (NAME.onnx with NAME.onnx.json)",
  );
}
