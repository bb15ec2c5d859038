import { setTimeout as sleep } from "node:timers/promises";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import { catalogEntry } from "../catalog.ts";
import { parseReference } from "../reference.ts";
import { type Delivery, type NodeModel, type NodeStore, nothingKnown, type Source } from "./types.ts";

// As with URLs: without any progress a broken transfer is abandoned after this many attempts.
const FRUITLESS_ATTEMPTS = 3;

type NodeFile = Pick<NodeModel, "name" | "bytes" | "sha256">;

/** A file of another machine's store; `name` is that of its model. */
export function nodeSource(store: NodeStore, model: NodeFile): Source {
  return {
    label: `remote server ${store.node}`,
    async deliver(delivery) {
      const { into, signal, timing, report } = delivery;
      // The digest identifies the bytes: a transfer from one machine is resumed from another with the same digest.
      await into.begin(`sha256:${model.sha256}`, signal, (bytes) => report("verify", bytes, model.bytes));
      if (into.bytes > model.bytes) await into.restart(`sha256:${model.sha256}`);
      await delivery.needRoom(model.bytes - into.bytes);
      for (let fruitless = 0; into.bytes < model.bytes; ) {
        const before = into.bytes;
        try {
          await receive(store, model, delivery);
        } catch (error) {
          signal.throwIfAborted();
          if (into.bytes > before) fruitless = 0;
          if (!(isAssistantError(error) && error.code === "node_unavailable") || ++fruitless >= FRUITLESS_ATTEMPTS)
            throw error;
          await sleep(timing.retryMs * 2 ** (fruitless - 1), undefined, { signal });
        }
      }
      return nothingKnown;
    },
  };
}

async function receive(store: NodeStore, model: NodeFile, { into, signal, timing, report }: Delivery): Promise<void> {
  into.continued ||= into.bytes > 0;
  for await (const part of store.fetch(model, into.bytes, timing, signal)) {
    await into.append(part);
    if (into.bytes > model.bytes)
      throw new AssistantError("pull_failed", `it sent more than the announced ${model.bytes} bytes`);
    report("download", into.bytes, model.bytes);
  }
  signal.throwIfAborted();
  if (into.bytes < model.bytes)
    throw new AssistantError(
      "node_unavailable",
      `The transfer from ${store.node} ended at ${into.bytes} of ${model.bytes} bytes.`,
    );
}

/**
 * The model's source in the manifest: its original one, so that a model file may use that, or otherwise the machine. A
 * catalog name is only accepted with the catalog's digest.
 */
export function nodeReference(node: string, { name, reference, sha256 }: NodeModel): string {
  if (catalogEntry(reference)?.sha256 === sha256) return reference;
  return isHubFile(reference) ? reference : `node:${node}/${name}`;
}

function isHubFile(reference: string): boolean {
  if (!reference.startsWith("hf:")) return false;
  try {
    const parsed = parseReference(reference, { cwd: "/", home: "/" });
    return parsed.type === "huggingface" && parsed.file !== null;
  } catch {
    return false;
  }
}
