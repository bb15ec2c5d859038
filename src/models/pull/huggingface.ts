import { AssistantError } from "../../core/errors.ts";
import { nearestNames } from "../../core/nearest.ts";
import type { HubFile, Reference } from "../reference.ts";
import { httpSource } from "./http.ts";
import { HttpFailure, inWords } from "./http-failure.ts";
import { type HttpAccess, httpSession } from "./http-session.ts";
import { defaultTiming, type Expected, nothingKnown, type PullOptions, type Source } from "./types.ts";

type HubReference = Extract<Reference, { type: "huggingface" }>;

export interface FoundHubFile {
  readonly file: HubFile;
  readonly expected: Expected;
  readonly licence: string | null;
}

/** The parts of the hub's answer about a repository that are used here. */
interface RepositoryInfo {
  readonly siblings?: readonly {
    readonly rfilename: string;
    readonly size?: number;
    readonly lfs?: { readonly sha256?: string; readonly size?: number };
  }[];
  readonly cardData?: { readonly license?: unknown };
}

// What llama.cpp and Ollama take when nobody says which: small, with little loss.
const USUAL = "Q4_K_M";

/** Downloads one file of the hub, or of the mirror that `HF_ENDPOINT` names. */
export function hubSource(file: Omit<HubFile, "type">, options: PullOptions): Source {
  const { endpoint, access } = hubOf(options);
  const path = [...file.repo.split("/"), "resolve", file.revision, ...file.file.split("/")]
    .map(encodeURIComponent)
    .join("/");
  return httpSource(`${endpoint.host}/${file.repo}`, new URL(path, endpoint), access);
}

/**
 * Asks the hub for a repository's files: which one is meant, its size, digest and licence. Where the hub does not
 * answer and the file is named, the download itself will tell.
 */
export async function findHubFile(
  reference: HubReference,
  options: PullOptions,
  signal: AbortSignal,
): Promise<FoundHubFile> {
  const { endpoint, access } = hubOf(options);
  const url = new URL(
    `api/models/${reference.repo}/revision/${encodeURIComponent(reference.revision)}?blobs=true`,
    endpoint,
  );
  const timing = { ...defaultTiming, ...options.timing };
  let info: RepositoryInfo;
  try {
    await using session = httpSession({ env: options.env, timing, signal, expected: nothingKnown }, access);
    const answer = await session.get(url, { accept: "application/json" });
    if (answer.status !== 200)
      throw new HttpFailure(
        answer.status,
        answer.status === 404 || answer.status === 401
          ? `there is no public repository ${reference.repo} (or no revision ${reference.revision}); a private one needs HF_TOKEN`
          : null,
      );
    info = JSON.parse(await textOf(answer.body)) as RepositoryInfo;
  } catch (error) {
    signal.throwIfAborted();
    if (reference.file !== null && !(error instanceof HttpFailure))
      return { file: { ...reference, file: reference.file }, expected: nothingKnown, licence: null };
    const told = inWords(error, endpoint, timing);
    throw new AssistantError(
      error instanceof HttpFailure && error.status === 404 ? "unknown_source" : "pull_failed",
      `${endpoint.host}: ${(told as Error).message}.`,
      {
        param: "reference",
        remedy:
          "Check the spelling and the network (HTTPS_PROXY and HF_ENDPOINT are honoured), or import a local file: `assistant pull ./FILE.gguf`.",
        cause: error,
      },
    );
  }
  const found = choose(reference, info);
  const licence = info.cardData?.license;
  return {
    file: { type: "huggingface", repo: reference.repo, revision: reference.revision, file: found.rfilename },
    expected: { bytes: found.lfs?.size ?? found.size ?? null, sha256: found.lfs?.sha256 ?? null },
    licence: typeof licence === "string" ? licence : null,
  };
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

type Sibling = NonNullable<RepositoryInfo["siblings"]>[number];

function choose(reference: HubReference, info: RepositoryInfo): Sibling {
  const weights = (info.siblings ?? []).filter(
    ({ rfilename }) => /\.gguf$/i.test(rfilename) && !/mmproj/i.test(rfilename),
  );
  const named =
    reference.file === null
      ? ofQuantisation(weights, reference.quantisation)
      : (info.siblings ?? []).find(({ rfilename }) => rfilename === reference.file);
  const wanted =
    reference.file ??
    (reference.quantisation === null ? "a GGUF file" : `a GGUF file of quantisation ${reference.quantisation}`);
  if (named === undefined) {
    const names = weights.map(({ rfilename }) => rfilename);
    const near = reference.file === null ? names.slice(0, 12) : nearestNames(reference.file, names, 5);
    throw new AssistantError("unknown_source", `${reference.repo} has no ${wanted.replace(/^a /, "")}.`, {
      param: "reference",
      remedy:
        near.length > 0
          ? `It has ${near.join(", ")}.`
          : "It has no GGUF files at all; look for a repository with GGUF in its name.",
    });
  }
  if (/-\d{5}-of-\d{5}\.gguf$/i.test(named.rfilename)) {
    throw new AssistantError(
      "unknown_source",
      `${named.rfilename} is one part of several; models in parts cannot be pulled.`,
      {
        param: "reference",
        remedy: "Merge the parts with llama-gguf-split and import the file.",
      },
    );
  }
  return named;
}

function ofQuantisation(weights: readonly Sibling[], quantisation: string | null): Sibling | undefined {
  const matching = (tag: string) =>
    weights.find(({ rfilename }) =>
      rfilename
        .toLowerCase()
        .replace(/\.gguf$/, "")
        .split(/[-./]/)
        .includes(tag.toLowerCase()),
    );
  return quantisation === null ? (matching(USUAL) ?? weights[0]) : matching(quantisation);
}

/** The hub that is asked, and how. Throws `usage` for a wrong HF_ENDPOINT. */
export function hubOf(options: Pick<PullOptions, "env" | "allowPrivate">): { endpoint: URL; access: HttpAccess } {
  const chosen = options.env["HF_ENDPOINT"] || null;
  const text = chosen ?? "https://huggingface.co";
  if (!URL.canParse(text) || !/^https?:/i.test(text))
    throw new AssistantError("usage", `HF_ENDPOINT must be an http(s) address, found ${JSON.stringify(text)}.`, {
      param: "HF_ENDPOINT",
    });
  const endpoint = new URL(text.endsWith("/") ? text : `${text}/`);
  // A mirror that the user names may well stand in the user's own network.
  return {
    endpoint,
    access: {
      allowPrivate: chosen !== null || (options.allowPrivate ?? false),
      bearer: options.env["HF_TOKEN"] || null,
    },
  };
}
