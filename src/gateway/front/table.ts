import type { KeyScope } from "../../core/config.ts";
import { AssistantError } from "../../core/errors.ts";
import type { RouteDescription } from "./describe.ts";
import type { Door, InferenceRoute } from "./door.ts";
import type { RequestTarget } from "./target.ts";

/** The handler of a method on a path. */
export interface Entry {
  /** As its door wrote it, with parameters. */
  readonly path: string;
  readonly door: Door;
  /** The scope it requires; null: not even a key. */
  readonly scope: KeyScope | null;
  /** Null: fastify answers it from memory. */
  readonly inference: InferenceRoute | null;
  /** Null: it has no description. */
  readonly describe: RouteDescription | null;
}

/** One method of one path. */
export interface TableRow {
  readonly method: string;
  readonly path: string;
  readonly entry: Entry;
}

/** The methods of a path. */
export type Methods = ReadonlyMap<string, Entry>;

/** Every route of a listener. Doors add theirs; none is known here by name. */
export class RouteTable {
  readonly #plain = new Map<string, Map<string, Entry>>();
  readonly #patterns = new Map<string, { readonly matches: RegExp; readonly methods: Map<string, Entry> }>();

  add(method: string, path: string, entry: Omit<Entry, "path">): void {
    this.#methodsOf(path).set(method, { ...entry, path });
  }

  /** Undefined: there is no such path. */
  find({ path, escaped }: RequestTarget): Methods | undefined {
    const plain = this.#plain.get(path);
    if (plain !== undefined) return plain;
    // An escaped slash belongs to its parameter.
    for (const { matches, methods } of this.#patterns.values()) if (matches.test(escaped)) return methods;
    return undefined;
  }

  /** All of them, in the order in which doors added their paths. */
  rows(): TableRow[] {
    const patterns = [...this.#patterns].map(([path, { methods }]) => [path, methods] as const);
    return [...this.#plain, ...patterns].flatMap(([path, methods]) =>
      [...methods].map(([method, entry]) => ({ method, path, entry })),
    );
  }

  /**
   * The door for which an unknown path was probably meant, so that its client understands the refusal: the one whose
   * route has the longest common beginning, of several the shortest. Null: none begins like it.
   */
  nearest(path: string): Door | null {
    const segments = segmentsOf(path);
    let best = { common: 0, length: 0, door: null as Door | null };
    for (const { path: known, entry } of this.rows()) {
      const route = segmentsOf(known);
      const common = commonOf(segments, route);
      const { length } = route;
      if (common > best.common || (common > 0 && common === best.common && length < best.length))
        best = { common, length, door: entry.door };
    }
    return best.door;
  }

  /** Paths without parameters that the door answers. */
  pathsOf(door: Door): string[] {
    return [...this.#plain]
      .filter(([, methods]) => [...methods.values()].some((entry) => entry.door === door))
      .map(([path]) => path);
  }

  #methodsOf(path: string): Map<string, Entry> {
    if (!/[:*]/.test(path)) {
      const methods = this.#plain.get(path) ?? new Map<string, Entry>();
      this.#plain.set(path, methods);
      return methods;
    }
    let pattern = this.#patterns.get(path);
    if (pattern === undefined) {
      pattern = { matches: new RegExp(`^${path.replace(/:\w+/g, "[^/]+").replace("*", ".+")}$`), methods: new Map() };
      this.#patterns.set(path, pattern);
    }
    return pattern.methods;
  }
}

const segmentsOf = (path: string): readonly string[] => path.slice(1).split("/", MAX_SEGMENTS);
/** No route has more. */
const MAX_SEGMENTS = 8;

/** The number of common segments at the beginning of two paths. */
function commonOf(path: readonly string[], route: readonly string[]): number {
  const differs = path.findIndex(
    (segment, index) => segment !== route[index] && route[index]?.startsWith(":") !== true,
  );
  return differs < 0 ? path.length : differs;
}

export const routeNotFound = (path: string): AssistantError =>
  new AssistantError("route_not_found", `There is no ${path.slice(0, 200)}.`, {
    remedy: "docs/api.md lists the routes.",
  });

export const methodNotAllowed = (method: string, path: string, methods: Methods): AssistantError =>
  new AssistantError(
    "method_not_allowed",
    `${path.slice(0, 200)} does not take ${method}; it takes ${[...methods.keys()].join(" and ")}.`,
  );
