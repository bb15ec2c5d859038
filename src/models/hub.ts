import type { Environment } from "../config/environment.ts";
import type { Documents, DocumentType } from "../core/documents.ts";
import { AssistantError } from "../core/errors.ts";
import { HttpFailure, inWords } from "./pull/http-failure.ts";
import { httpSession, textOf } from "./pull/http-session.ts";
import { hubOf } from "./pull/huggingface.ts";
import { defaultTiming, nothingKnown, type PullTiming } from "./pull/types.ts";

/** A GGUF repository that a search found. Null: the hub does not say. */
export interface FoundRepository {
  /** `ORG/REPO`. */
  readonly repo: string;
  readonly licence: string | null;
  readonly parameters: number | null;
  readonly contextLength: number | null;
  readonly downloads: number | null;
  /** Access must be requested. */
  readonly isGated: boolean;
}

/** A file of a repository, as the hub lists it. */
export interface HubFileFacts {
  readonly path: string;
  readonly bytes: number | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
}

export interface HubOptions {
  readonly env: Environment;
  /** What repositories hold is kept here for an hour. */
  readonly documents: Documents;
  readonly timing?: Partial<PullTiming>;
  readonly now?: () => number;
}

interface Kept {
  readonly at: number;
  /** Null: there was no such repository. */
  readonly files: readonly HubFileFacts[] | null;
}

const MAX_AGE_MS = 3_600_000;
const MAX_KEPT = 200;
/** The caller waits for the response. */
const PATIENCE: Partial<PullTiming> = { connectMs: 3_000, stallMs: 8_000 };
const DOCUMENT = "hub";

interface KeptRepositories {
  readonly repositories: Readonly<Record<string, Kept>>;
}

const keptDocument: DocumentType<KeptRepositories> = {
  title: "answers of the Hugging Face hub",
  schema: 1,
  durable: false,
  parse: (value) => {
    const { repositories } = (value ?? {}) as Partial<KeptRepositories>;
    const isWhole = Object.values(repositories ?? {}).every(
      (kept: Partial<Kept> | null) =>
        typeof kept?.at === "number" && (kept.files === null || Array.isArray(kept.files)),
    );
    return repositories !== undefined && isWhole ? { repositories } : null;
  },
};

/** What the Hugging Face hub, or the mirror that `HF_ENDPOINT` names, says of repositories. */
export class Hub {
  readonly #options: HubOptions;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  /**
   * Repositories with GGUF files, those that are downloaded most first. Throws `pull_failed` where the hub cannot be
   * asked.
   */
  async search(text: string, limit: number): Promise<readonly FoundRepository[]> {
    const query = new URLSearchParams({ search: text, filter: "gguf", sort: "downloads", direction: "-1" });
    query.set("limit", String(limit));
    for (const field of ["gguf", "downloads", "tags", "gated"]) query.append("expand[]", field);
    const found = await this.#get(`api/models?${query}`);
    return Array.isArray(found) ? found.flatMap(repositoryOf) : [];
  }

  /**
   * The files of a repository; null: there is no such repository, or it is private. Throws `pull_failed` where the hub
   * cannot be asked and never was.
   */
  async files(repo: string): Promise<readonly HubFileFacts[] | null> {
    const { documents, now = Date.now } = this.#options;
    const kept = (await documents.read(DOCUMENT, keptDocument))?.repositories ?? {};
    const known = kept[repo];
    if (known !== undefined && now() - known.at < MAX_AGE_MS) return known.files;
    let files: Kept["files"];
    try {
      files = filesOf(await this.#get(`api/models/${repo}/revision/main?blobs=true`));
    } catch (error) {
      if (known === undefined) throw error;
      return known.files;
    }
    const entries = [...Object.entries(kept).filter(([name]) => name !== repo), [repo, { at: now(), files }] as const];
    // A response that cannot be cached is requested again.
    const repositories = Object.fromEntries(entries.slice(-MAX_KEPT));
    await documents.write(DOCUMENT, keptDocument, { repositories }).catch(() => {});
    return files;
  }

  /** Whether the hub has the file, or with null the repository; null where it cannot be asked. */
  async has(repo: string, file: string | null): Promise<boolean | null> {
    const files = await this.files(repo).catch(() => undefined);
    if (files === undefined) return null;
    return files !== null && (file === null || files.some(({ path }) => path === file));
  }

  /** The parsed answer; null for what is not there. */
  async #get(path: string): Promise<unknown> {
    const { env, timing: given } = this.#options;
    const { endpoint, access } = hubOf({ env });
    const timing = { ...defaultTiming, ...PATIENCE, ...given };
    try {
      const { signal } = new AbortController();
      await using session = httpSession({ env, timing, signal, expected: nothingKnown }, access);
      const answer = await session.get(new URL(path, endpoint), { accept: "application/json" });
      if (answer.status === 404 || answer.status === 401) return null;
      if (answer.status !== 200) throw new HttpFailure(answer.status, null);
      return JSON.parse(await textOf(answer.body));
    } catch (error) {
      throw new AssistantError(
        "pull_failed",
        `${endpoint.host}: ${(inWords(error, endpoint, timing) as Error).message}.`,
        {
          remedy: "Check the network (HTTPS_PROXY and HF_ENDPOINT are honoured).",
          cause: error,
        },
      );
    }
  }
}

function filesOf(info: unknown): Kept["files"] {
  if (info === null) return null;
  const { siblings } = info as { readonly siblings?: unknown };
  if (!Array.isArray(siblings)) return [];
  return (siblings as readonly Sibling[]).flatMap(({ rfilename, size, lfs }) =>
    typeof rfilename === "string"
      ? [{ path: rfilename, bytes: lfs?.size ?? size ?? null, sha256: lfs?.sha256 ?? null }]
      : [],
  );
}

interface Sibling {
  readonly rfilename?: unknown;
  readonly size?: number;
  readonly lfs?: { readonly size?: number; readonly sha256?: string };
}

function repositoryOf(found: unknown): FoundRepository[] {
  const { id, tags, gguf, downloads, gated } = (found ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof id !== "string" || !/^\w[\w.-]*\/\w[\w.-]*$/.test(id)) return [];
  const { total, context_length: contextLength } = (gguf ?? {}) as Readonly<Record<string, unknown>>;
  const licence = (Array.isArray(tags) ? tags : []).find(
    (tag): tag is string => typeof tag === "string" && tag.startsWith("license:"),
  );
  return [
    {
      repo: id,
      licence: licence?.slice("license:".length) ?? null,
      parameters: numberOrNull(total),
      contextLength: numberOrNull(contextLength),
      downloads: numberOrNull(downloads),
      isGated: gated !== undefined && gated !== false,
    },
  ];
}

const numberOrNull = (value: unknown): number | null => (typeof value === "number" && value > 0 ? value : null);
