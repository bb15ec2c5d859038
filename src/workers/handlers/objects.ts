import { OBJECTS_PATH, type ObjectPage, type ObjectRef } from "../../api/objects.ts";

export type { ObjectRef };

export interface Objects {
  /**
   * Stores a buffer as bytes and anything else as JSON. An existing key is replaced; by default, a new key is created.
   * `ttlSeconds`: how long the object is kept; default: `[server] keep_objects_days` of the daemon.
   */
  create(
    data: Uint8Array | object | string | number | boolean | null,
    options?: { readonly key?: string; readonly ttlSeconds?: number },
  ): Promise<ObjectRef>;
  /** The content: a buffer, or the parsed JSON. Rejects if there is no such object. */
  get(ref: ObjectRef | string): Promise<unknown>;
  exists(ref: ObjectRef | string): Promise<boolean>;
  /** Resolves with false if there was no such object. */
  delete(ref: ObjectRef | string): Promise<boolean>;
  list(): Promise<readonly ObjectRef[]>;
  /** Deletes objects older than `maxAgeSeconds` (default 3,600). Resolves with their number. */
  cleanup(maxAgeSeconds?: number): Promise<number>;
}

/** The object store of a daemon. */
export class ObjectsClient implements Objects {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, headers: Readonly<Record<string, string>> = {}) {
    this.#url = `${url.replace(/\/+$/, "")}${OBJECTS_PATH}`;
    this.#headers = headers;
  }

  async create(...[data, { key, ttlSeconds } = {}]: Parameters<Objects["create"]>): Promise<ObjectRef> {
    const isBytes = data instanceof Uint8Array;
    const target = key === undefined ? this.#url : `${this.#url}/${encodeURIComponent(key)}`;
    const answer = await this.#ask(ttlSeconds === undefined ? target : `${target}?ttl_seconds=${ttlSeconds}`, {
      method: key === undefined ? "POST" : "PUT",
      headers: { "content-type": isBytes ? "application/octet-stream" : "application/json" },
      body: isBytes ? data : JSON.stringify(data),
    });
    return (await answer.json()) as ObjectRef;
  }

  async get(ref: ObjectRef | string): Promise<unknown> {
    const answer = await this.#ask(this.#at(ref));
    if (answer.headers.get("content-type")?.startsWith("application/json") === true) return await answer.json();
    return Buffer.from(await answer.arrayBuffer());
  }

  async exists(ref: ObjectRef | string): Promise<boolean> {
    return (await this.#ask(this.#at(ref), { method: "HEAD" }, [404])).ok;
  }

  async delete(ref: ObjectRef | string): Promise<boolean> {
    return (await this.#ask(this.#at(ref), { method: "DELETE" }, [404])).ok;
  }

  async list(): Promise<readonly ObjectRef[]> {
    const found: ObjectRef[] = [];
    for (let after: string | null = null; ; ) {
      const answer = await this.#ask(after === null ? this.#url : `${this.#url}?after=${encodeURIComponent(after)}`);
      const page = (await answer.json()) as ObjectPage;
      found.push(...page.objects);
      if (page.next === null) return found;
      after = page.next;
    }
  }

  async cleanup(maxAgeSeconds = 3_600): Promise<number> {
    const answer = await this.#ask(`${this.#url}/cleanup`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ max_age_seconds: maxAgeSeconds }),
    });
    return ((await answer.json()) as { readonly deleted: number }).deleted;
  }

  #at(ref: ObjectRef | string): string {
    return `${this.#url}/${encodeURIComponent(typeof ref === "string" ? ref : ref.key)}`;
  }

  async #ask(url: string, init: RequestInit = {}, allowed: readonly number[] = []): Promise<Response> {
    const answer = await fetch(url, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), ...this.#headers },
    });
    if (answer.ok || allowed.includes(answer.status)) return answer;
    throw new Error(`The object store answered with status ${answer.status}: ${(await answer.text()).slice(0, 500)}`);
  }
}
