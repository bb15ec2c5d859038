import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Capabilities, withProjector } from "./capabilities.ts";
import { type ModelFacts, readModelFacts } from "./facts.ts";
import type { FileRole } from "./file-set.ts";
import { headerBytes, readGguf } from "./gguf-header.ts";
import { planPull } from "./pull/job.ts";
import { defaultTiming, nothingKnown, type PullOptions, type WantedFile } from "./pull/types.ts";

/** What a pull would bring. */
export interface Preview {
  /** Name that the model would get. */
  readonly name: string;
  readonly reference: string;
  readonly licence: string | null;
  readonly files: readonly {
    readonly name: string;
    readonly role: FileRole;
    readonly bytes: number | null;
    readonly sha256: string | null;
  }[];
  /** Null if a source does not report it. */
  readonly bytes: number | null;
  /** With those of the projector. */
  readonly capabilities: Capabilities | null;
  readonly facts: ModelFacts | null;
  /** Why there are no facts: the source gives no parts of files. */
  readonly problem: string | null;
}

const FIRST_READ_BYTES = 2 ** 20;
const MAX_HEADER_BYTES = 2 ** 28;

/**
 * Inspects a model before it is downloaded: reads the headers of its files through range requests, a few megabytes at
 * most. `look` receives the path of the first file of a sparse copy that only has the headers, for estimates; it is
 * deleted afterwards. Throws like `pull`.
 */
export async function previewModel<T>(
  reference: string,
  options: PullOptions,
  look: (file: string, facts: ModelFacts) => Promise<T>,
): Promise<{ preview: Preview; looked: T | null }> {
  const signal = options.signal ?? new AbortController().signal;
  const job = await planPull(reference, options, signal);
  const folder = await mkdtemp(join(tmpdir(), "assistant-preview-"));
  try {
    const blind = job.files.find(({ sources }) => sources.every(({ peek }) => peek === undefined));
    const files: Preview["files"][number][] = [];
    for (const wanted of job.files) {
      const { name, role, expected } = wanted;
      const bytes =
        blind === undefined ? await sparseCopy(wanted, join(folder, name), options, signal) : expected.bytes;
      files.push({ name, role, bytes, sha256: expected.sha256 });
    }
    const sizes = files.map(({ bytes }) => bytes);
    const { name, licence } = job;
    const known = { name, reference: job.reference, licence, files, bytes: sizes.includes(null) ? null : sum(sizes) };
    const problem = `${blind?.sources[0]?.label} does not show its files before they are downloaded.`;
    if (blind !== undefined) return { preview: { ...known, capabilities: null, facts: null, problem }, looked: null };
    const [first, ...others] = files;
    if (first === undefined) throw new Error("a pull without files");
    const path = join(folder, first.name);
    const facts = await readModelFacts(path);
    const projector = others.find(({ role }) => role === "projector");
    const adds = projector === undefined ? null : (await readGguf(join(folder, projector.name))).capabilities;
    const preview = { ...known, facts, capabilities: withProjector(facts.capabilities, adds), problem: null };
    return { preview, looked: await look(path, facts) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * A sparse file with the real length that only contains the header. Returns the length, which readers compare with the
 * end of the tensors.
 */
async function sparseCopy(
  { name, expected, sources }: WantedFile,
  path: string,
  { env, timing }: PullOptions,
  signal: AbortSignal,
): Promise<number | null> {
  const source = sources.find(({ peek }) => peek !== undefined);
  if (source?.peek === undefined) throw new Error("a source that shows nothing");
  const context = { env, timing: { ...defaultTiming, ...timing }, signal, expected: nothingKnown };
  for (let length = FIRST_READ_BYTES; ; length *= 4) {
    const { head, totalBytes } = await source.peek(length, context);
    if (headerBytes(head, name) === null && head.length === length && length < MAX_HEADER_BYTES) continue;
    await using file = await open(path, "w");
    await file.write(head);
    const total = totalBytes ?? expected.bytes;
    if (total !== null && total > head.length) await file.truncate(total);
    return total;
  }
}

const sum = (sizes: readonly (number | null)[]): number =>
  sizes.reduce<number>((total, size) => total + (size ?? 0), 0);
