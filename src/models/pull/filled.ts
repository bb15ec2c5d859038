import { AssistantError } from "../../core/errors.ts";
import type { PartialFile } from "./partial.ts";
import type { Delivery, Expected, Source } from "./types.ts";

/** Downloads and verifies. A resumed download that turns out wrong is retried once from the start. */
export async function fill(source: Source, delivery: Delivery): Promise<void> {
  const { into, expected } = delivery;
  for (let fresh = false; ; fresh = true) {
    const told = await source.deliver(delivery);
    const wanted: Expected = { bytes: expected.bytes ?? told.bytes, sha256: expected.sha256 ?? told.sha256 };
    delivery.report("verify", into.bytes, into.bytes);
    const wrong = difference(wanted, into);
    if (wrong === null) return;
    const { continued } = into;
    await into.discard();
    if (!continued || fresh)
      throw new AssistantError("digest_mismatch", wrong, {
        remedy: "The file was deleted. Try again; if the problem persists, the source is damaged or was changed.",
      });
  }
}

function difference(wanted: Expected, found: PartialFile): string | null {
  if (wanted.bytes !== null && found.bytes !== wanted.bytes)
    return `expected ${wanted.bytes} bytes, found ${found.bytes}`;
  const sha256 = found.sha256();
  return wanted.sha256 !== null && sha256 !== wanted.sha256
    ? `expected SHA-256 ${wanted.sha256}, found ${sha256}`
    : null;
}
