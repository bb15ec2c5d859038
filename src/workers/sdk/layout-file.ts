import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import { AssistantError } from "../../core/errors.ts";
import { nearestNames } from "../../core/nearest.ts";
import { AssistantModel } from "./assistant-model.ts";
import { DocumentQaProcess } from "./document-qa.ts";
import { ContextualCC, FinalUserFilter, OpenCC } from "./filters.ts";
import { Layout } from "./layout.ts";
import { DummyModel, ReflectModel, SlowReflectProcess } from "./models.ts";
import type {
  ClassContext,
  CompletionInterface,
  GeneralProcessInterface,
  TextLevelFilteringInterface,
} from "./records.ts";

export const DEFAULT_LAYOUT = "default_layout.yaml";

type Class = new (args: Readonly<Record<string, unknown>>, context: ClassContext) => unknown;

/** The classes included in the SDK, by their names in layouts. */
const BUILT_IN: Readonly<Record<string, Class>> = {
  "models.dummy.DummyModel": DummyModel,
  "models.reflect.ReflectModel": ReflectModel,
  "models.reflect.SlowReflectProcess": SlowReflectProcess,
  "models.assistant.AssistantModel": AssistantModel,
  "models.document_qa.DocumentQaProcess": DocumentQaProcess,
  "filters.opencc.OpenCC": OpenCC,
  "filters.opencc.ContextualCC": ContextualCC,
  "filters.history.FinalUserFilter": FinalUserFilter,
};

/** The method that a class needs for each place in a layout. */
const INTERFACES = {
  CompletionInterface: "complete",
  TextLevelFilteringInterface: "filter",
  GeneralProcessInterface: "process",
} as const;

const EXTENSIONS = [".ts", ".mts", ".js", ".mjs"];
const KEYS = ["version", "llm", "ingress-filters", "egress-filters", "override-process"];

export interface LayoutOptions {
  /** Modules of classes are searched here, then next to the layout. */
  readonly cwd: string;
  readonly context: ClassContext;
}

/** The layout of a worker without one: always the same sentence. */
export const defaultLayout = (): Layout => new Layout({ llm: new DummyModel() }, { isDefault: true });

/** Throws `config_invalid` with file and field. */
export async function loadLayout(file: string, options: LayoutOptions): Promise<Layout> {
  const path = resolve(options.cwd, file);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new AssistantError("config_invalid", `The layout ${path} cannot be read.`, { cause });
  });
  const invalid = (message: string): AssistantError => new AssistantError("config_invalid", `${file}: ${message}`);
  let read: unknown;
  try {
    read = parse(text);
  } catch (error) {
    throw invalid(`not YAML: ${(error as Error).message.split("\n")[0]}`);
  }
  if (!isObject(read)) throw invalid("expected `version: 1` and `llm` or `override-process`");
  const { version } = read;
  if (version !== 1) throw invalid(`version: expected 1, found ${JSON.stringify(version) ?? "nothing"}`);
  const unknown = Object.keys(read).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw invalid(`${unknown}: unknown key; known are ${KEYS.join(", ")}`);
  const loader = new ClassLoader(options, [...new Set([resolve(options.cwd), dirname(path)])], invalid);
  const { llm, "override-process": override } = read;
  if (override !== undefined && override !== null) {
    const { name, made } = await loader.make<GeneralProcessInterface>(
      override,
      "override-process",
      "GeneralProcessInterface",
    );
    return new Layout({ process: made }, { mainClass: name });
  }
  if (llm === undefined) throw invalid("llm: missing; expected `class` and `args`");
  const { name, made } = await loader.make<CompletionInterface>(llm, "llm", "CompletionInterface");
  return new Layout(
    {
      llm: made,
      ingressFilters: await loader.filters(read["ingress-filters"], "ingress-filters"),
      egressFilters: await loader.filters(read["egress-filters"], "egress-filters"),
    },
    { mainClass: name },
  );
}

class ClassLoader {
  readonly #options: LayoutOptions;
  readonly #folders: readonly string[];
  readonly #invalid: (message: string) => AssistantError;

  constructor(options: LayoutOptions, folders: readonly string[], invalid: (message: string) => AssistantError) {
    this.#options = options;
    this.#folders = folders;
    this.#invalid = invalid;
  }

  async filters(entries: unknown, at: string): Promise<TextLevelFilteringInterface[]> {
    if (entries === undefined || entries === null) return [];
    if (!Array.isArray(entries)) throw this.#invalid(`${at}: expected a list, each with \`class\` and \`args\``);
    const filters: TextLevelFilteringInterface[] = [];
    for (const [index, entry] of entries.entries())
      filters.push(
        (await this.make<TextLevelFilteringInterface>(entry, `${at}[${index}]`, "TextLevelFilteringInterface")).made,
      );
    return filters;
  }

  async make<T>(
    entry: unknown,
    at: string,
    wanted: keyof typeof INTERFACES,
  ): Promise<{ readonly name: string; readonly made: T }> {
    if (!isObject(entry) || typeof entry["class"] !== "string")
      throw this.#invalid(`${at}.class: expected a class such as "models.reflect.ReflectModel"`);
    const { class: name, args = {} } = entry as { readonly class: string; readonly args?: unknown };
    if (!isObject(args ?? {})) throw this.#invalid(`${at}.args: expected an object`);
    const method = INTERFACES[wanted];
    const found = await this.#find(name, `${at}.class`);
    if (typeof (found.prototype as Record<string, unknown> | undefined)?.[method] !== "function")
      throw this.#invalid(`${at}.class: ${name} is no ${wanted}: it has no method \`${method}\``);
    try {
      const Made = found;
      return { name, made: new Made((args ?? {}) as Record<string, unknown>, this.#options.context) as T };
    } catch (error) {
      throw this.#invalid(`${at}.args: ${(error as Error).message}`);
    }
  }

  /** Modules in the worker's folder take precedence over classes of the SDK. */
  async #find(name: string, at: string): Promise<Class> {
    const parts = name.split(".");
    const exported = parts.pop() ?? "";
    const file = /^[\w-]+(?:\.[\w-]+)*$/.test(name) && parts.length > 0 ? this.#fileOf(parts) : null;
    if (file === null) {
      const known = BUILT_IN[name] ?? BUILT_IN[Object.keys(BUILT_IN).find((one) => one.endsWith(`.${name}`)) ?? ""];
      if (known !== undefined) return known;
      const near = nearestNames(name, Object.keys(BUILT_IN));
      const hint = near.length > 0 ? ` Did you mean ${near.join(" or ")}?` : "";
      throw this.#invalid(
        `${at}: unknown class "${name}": there is no ${parts.join("/") || name}${EXTENSIONS.join(" or ")} in ${this.#folders.join(" or ")}, and the SDK has none of this name.${hint}`,
      );
    }
    const module = (await import(pathToFileURL(file).href).catch((error: unknown) => {
      throw this.#invalid(`${at}: ${file} cannot be loaded: ${(error as Error).message}`);
    })) as Record<string, unknown>;
    const found = module[exported];
    if (typeof found === "function") return found as Class;
    throw this.#invalid(
      `${at}: ${file} exports no class "${exported}"; it exports ${Object.keys(module).join(", ") || "nothing"}`,
    );
  }

  #fileOf(parts: readonly string[]): string | null {
    const bases = this.#folders.map((folder) => join(folder, ...parts));
    return bases.flatMap((base) => EXTENSIONS.map((extension) => `${base}${extension}`)).find(existsSync) ?? null;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
