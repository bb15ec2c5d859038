import { type Body, isObject, isString } from "./rules.ts";

const MOVED_ROOT = "#/$defs/root-";

/**
 * Where the references of a JSON Schema lead, and how they are written so that llama.cpp finds the same: it knows no
 * escapes, splits at every slash, and takes a reference to the root for none.
 */
export class SchemaReferences {
  readonly #root: Body;
  /** Something refers to the root, which is then moved to where one can. */
  readonly #movesRoot: boolean;
  /** Schemas under names with a slash, and the names of definitions under which they are put instead. */
  readonly #renamed = new Map<Body, string>();
  readonly #definitions: Record<string, Body> = {};

  constructor(root: Body) {
    this.#root = root;
    const references = new Set(referencesIn(root));
    this.#movesRoot = references.has("#");
    for (const reference of references) {
      const found = this.#find(reference);
      if (found !== null && !this.#renamed.has(found.schema) && found.path.some((name) => name.includes("/")))
        this.#renamed.set(found.schema, `ref-${this.#renamed.size + 1}-`);
    }
  }

  /** What a reference leads to; null: nothing. */
  target(reference: string): Body | null {
    return this.#find(reference)?.schema ?? null;
  }

  /** The reference as llama.cpp finds its target. */
  written(reference: string): string {
    const found = this.#find(reference);
    if (found === null) return reference;
    const name = this.#renamed.get(found.schema);
    const plain = name === undefined ? ["#", ...found.path].join("/") : definition(name);
    return this.#movesRoot ? moved(plain) : plain;
  }

  /** What stands in the place of a schema, of which `read` was made. */
  placed(schema: Body, read: Body): Body {
    const name = this.#renamed.get(schema);
    if (name === undefined) return read;
    this.#definitions[name] = read;
    return { $ref: definition(name) };
  }

  /** The whole, with what has another place. */
  whole(root: Body): Body {
    if (!this.#movesRoot && this.#renamed.size === 0) return root;
    const { $defs, definitions, ...rest } = root;
    const defined = { ...(isObject($defs) ? $defs : {}), ...this.#definitions };
    return {
      ...(this.#movesRoot ? { $ref: MOVED_ROOT, $defs: { ...defined, "root-": rest } } : { ...rest, $defs: defined }),
      ...(definitions === undefined ? {} : { definitions }),
    };
  }

  #find(reference: string): { readonly schema: Body; readonly path: readonly string[] } | null {
    const path: string[] = [];
    let found: unknown = this.#root;
    for (const written of reference.split("/").slice(1)) {
      if (!isObject(found) && !Array.isArray(found)) return null;
      const holder: object = found;
      // Some who write schemas do not escape names.
      const name = [unescaped(written), written].find((each) => Object.hasOwn(holder, each));
      if (name === undefined) return null;
      path.push(name);
      found = (holder as Body)[name];
    }
    return isObject(found) ? { schema: found, path } : null;
  }
}

const definition = (name: string): string => `#/$defs/${name}`;

/** Where a reference leads once the root is moved. */
const moved = (reference: string): string =>
  reference === "#"
    ? MOVED_ROOT
    : /^#\/(?:\$defs|definitions)\//.test(reference)
      ? reference
      : `${MOVED_ROOT}${reference.slice(1)}`;

function* referencesIn(value: unknown): Generator<string, void> {
  if (typeof value !== "object" || value === null) return;
  const { $ref } = value as Body;
  if (isString($ref)) yield $ref;
  for (const each of Object.values(value)) yield* referencesIn(each);
}

/** A name in a JSON pointer that is part of a URI (RFC 6901, section 6). */
const unescaped = (name: string): string => decoded(name).replaceAll("~1", "/").replaceAll("~0", "~");

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
