import { dirname } from "node:path/posix";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import { partsOf } from "../file-set.ts";
import type { Reference } from "../reference.ts";
import { httpSource } from "./http.ts";
import { HttpFailure, inWords } from "./http-failure.ts";
import { type HttpAccess, httpSession, textOf } from "./http-session.ts";
import { chooseFiles, type RepositoryFile } from "./hub-files.ts";
import { defaultTiming, type Expected, nothingKnown, type PullOptions, type Source } from "./types.ts";

type HubReference = Extract<Reference, { type: "huggingface" }>;

/** One file of one revision of a repository. */
export interface HubPath {
  readonly repo: string;
  readonly revision: string;
  readonly path: string;
}

export interface FoundHubFiles {
  readonly weights: readonly [HubPath, ...HubPath[]];
  readonly projector: HubPath | null;
  readonly licence: string | null;
  expected(path: string): Expected;
}

/** The parts of the hub's answer about a repository that are used here. */
interface RepositoryInfo {
  readonly siblings?: readonly {
    readonly rfilename: string;
    readonly size?: number;
    readonly lfs?: { readonly sha256?: string; readonly size?: number };
  }[];
  readonly cardData?: { readonly license?: unknown };
  /** How access is granted, or false. */
  readonly gated?: unknown;
}

/** Downloads one file of the hub, or of the mirror that `HF_ENDPOINT` names. */
export function hubSource(
  { repo, revision, path }: HubPath,
  options: PullOptions,
): Source & Required<Pick<Source, "peek">> {
  const { endpoint, access } = hubOf(options);
  const url = [...repo.split("/"), "resolve", revision, ...path.split("/")].map(encodeURIComponent).join("/");
  const source = httpSource(`${endpoint.host}/${repo}`, new URL(url, endpoint), access);
  const explained = (error: unknown): never => {
    throw isAssistantError(error) && refusesAccess(error.cause) ? noAccess(repo, endpoint, access) : error;
  };
  return {
    label: source.label,
    peek: (bytes, context) => source.peek(bytes, context).catch(explained),
    deliver: (delivery) => source.deliver(delivery).catch(explained),
  };
}

/**
 * Requests a repository's files from the hub: which ones are meant, their sizes, digests and licence. If the hub does
 * not respond and the file is named, the download itself decides.
 */
export async function findHubFiles(
  reference: HubReference,
  options: PullOptions,
  signal: AbortSignal,
): Promise<FoundHubFiles> {
  const { repo, revision, file, quantisation } = reference;
  const hubPath = (path: string): HubPath => ({ repo, revision, path });
  const info = await repositoryInfo(reference, options, signal);
  if (info === null) {
    const [first, ...others] = partsOf(file ?? "");
    const weights: FoundHubFiles["weights"] = [hubPath(first), ...others.map(hubPath)];
    return { weights, projector: null, licence: null, expected: () => nothingKnown };
  }
  const { endpoint, access } = hubOf(options);
  if (info.gated !== undefined && info.gated !== false && access.bearer === null)
    throw noAccess(repo, endpoint, access);
  const files = (info.siblings ?? []).map(
    ({ rfilename, size, lfs }): RepositoryFile => ({
      path: rfilename,
      bytes: lfs?.size ?? size ?? null,
      sha256: lfs?.sha256 ?? null,
    }),
  );
  const { weights, projector } = chooseFiles(files, {
    repo,
    file,
    quantisation,
    memoryBytes: options.memoryBytes ?? null,
  });
  const [first, ...others] = weights;
  const licence = info.cardData?.license;
  return {
    weights: [hubPath(first), ...others.map(hubPath)],
    projector: projector === null ? null : hubPath(projector),
    licence: typeof licence === "string" ? licence : null,
    expected: (path) => files.find((known) => known.path === path) ?? nothingKnown,
  };
}

/** The other files of an already pulled model, which are not requested again: its parts are in one folder. */
export const besides = (file: HubPath, name: string): HubPath => {
  const folder = dirname(file.path);
  return { ...file, path: folder === "." ? name : `${folder}/${name}` };
};

/** Null where the hub cannot be asked and need not be. */
async function repositoryInfo(
  { repo, revision, file }: HubReference,
  options: PullOptions,
  signal: AbortSignal,
): Promise<RepositoryInfo | null> {
  const { endpoint, access } = hubOf(options);
  const url = new URL(`api/models/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`, endpoint);
  const timing = { ...defaultTiming, ...options.timing };
  try {
    await using session = httpSession({ env: options.env, timing, signal, expected: nothingKnown }, access);
    const answer = await session.get(url, { accept: "application/json" });
    if (answer.status === 404 || answer.status === 401)
      throw new HttpFailure(
        answer.status,
        `there is no public repository ${repo} (or no revision ${revision}); a private one needs HF_TOKEN`,
      );
    if (answer.status !== 200) throw new HttpFailure(answer.status, null);
    return JSON.parse(await textOf(answer.body)) as RepositoryInfo;
  } catch (error) {
    signal.throwIfAborted();
    if (file !== null && !(error instanceof HttpFailure)) return null;
    if (error instanceof HttpFailure && error.status === 403) throw noAccess(repo, endpoint, access);
    const told = inWords(error, endpoint, timing);
    throw new AssistantError(
      error instanceof HttpFailure && error.status === 404 ? "unknown_source" : "pull_failed",
      `${endpoint.host}: ${(told as Error).message}.`,
      {
        param: "reference",
        remedy:
          "Check the spelling and the network (HTTPS_PROXY and HF_ENDPOINT are honoured), " +
          "or import a local file: `assistant import ./FILE.gguf`.",
        cause: error,
      },
    );
  }
}

const refusesAccess = (cause: unknown): boolean =>
  cause instanceof HttpFailure && (cause.status === 401 || cause.status === 403);

function noAccess(repo: string, endpoint: URL, { bearer }: HttpAccess): AssistantError {
  const page = new URL(repo, endpoint).href;
  return new AssistantError(
    "access_denied",
    `${endpoint.host} gives ${repo} only to accounts that have access to it.`,
    {
      param: "reference",
      remedy:
        bearer === null
          ? `Accept its terms at ${page}, then set HF_TOKEN to a token from ${new URL("settings/tokens", endpoint).href}.`
          : `Accept its terms at ${page} with the account that HF_TOKEN belongs to, and make sure that the token may read gated repositories.`,
    },
  );
}

/** The hub's address and settings. Throws `usage` for a wrong HF_ENDPOINT. */
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
