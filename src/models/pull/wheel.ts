import { openPromise } from "yauzl";
import { AssistantError } from "../../core/errors.ts";

/** Reads one member of a zip archive in order, without unpacking the rest or trusting any path inside. */
export async function extractMember(
  archive: string,
  member: string,
  signal: AbortSignal,
  take: (chunk: Buffer, totalBytes: number) => Promise<void>,
): Promise<void> {
  const zip = await openPromise(archive, { autoClose: false });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName !== member) continue;
      const stream = await zip.openReadStreamPromise(entry);
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        signal.throwIfAborted();
        await take(chunk, entry.uncompressedSize);
      }
      return;
    }
  } finally {
    zip.close();
  }
  throw new AssistantError("pull_failed", `the package has no ${member}`);
}
