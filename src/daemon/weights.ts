import { stat } from "node:fs/promises";
import type { Clock, Timer } from "../core/clock.ts";
import type { ConfigNotice } from "../core/config.ts";
import { toAssistantError } from "../core/errors.ts";
import type { Capabilities, ModelSpec } from "../core/model.ts";
import { oneAtATime } from "../core/one-at-a-time.ts";
import { offeredBy, withProjector } from "../models/capabilities.ts";
import { aboveTrained } from "../models/context.ts";
import type { GgufHeader } from "../models/gguf-header.ts";
import type { HeaderCache } from "../models/header-cache.ts";
import { checkProjector, checkWeights, locateWeights } from "../models/resolve.ts";
import { listedOnce, type ModelStore } from "../models/store.ts";

export interface WeightsOptions {
  readonly clock: Clock;
  readonly store: ModelStore;
  readonly headers: HeaderCache;
  models(): readonly ModelSpec[];
  /** The weights of a model were missing or unusable, and are there now. */
  onMended(model: string): void;
  /** More, or something else, is known of some weights. */
  onChanged(): void;
}

/** A model's file as of the last check. */
interface Found {
  /** Changes with the file; null if there is none. */
  readonly identity: string | null;
  readonly header: GgufHeader | null;
  /** Why it cannot be loaded, or null. */
  readonly problem: string | null;
}

/** What is missing may come at any moment, by a pull of another process. */
const LOOK_MS = 2_000;

/** The weights of the configured models: whether they are there and whole, and what their headers say. */
export class Weights implements Disposable {
  readonly #options: WeightsOptions;
  readonly #found = new Map<string, Found>();
  #next: Timer | null = null;
  #stopped = false;

  constructor(options: WeightsOptions) {
    this.#options = options;
  }

  /** Looks at all files; reads only headers of those that have changed. Never rejects. */
  readonly look = oneAtATime(() => this.#look());

  header(model: string): GgufHeader | null {
    return this.#found.get(model)?.header ?? null;
  }

  /** The model's capabilities, according to its configuration and weights. */
  capabilities(model: ModelSpec): Capabilities {
    return offeredBy(model, this.header(model.name));
  }

  /** Why the model cannot be loaded, or null. */
  problem(model: string): string | null {
    return this.#found.get(model)?.problem ?? null;
  }

  /** Settings that do not suit the weights. */
  get notices(): ConfigNotice[] {
    return this.#options.models().flatMap(({ name, kind, file, load: { contextTokens } }): ConfigNotice[] => {
      const trained = this.header(name)?.trainContextTokens ?? null;
      if (trained === null || contextTokens <= trained) return [];
      return [
        {
          severity: "warning",
          file,
          line: null,
          key: `${kind}.ctx_size`,
          message: `${name}: ${aboveTrained(contextTokens, trained)}`,
        },
      ];
    });
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#next?.cancel();
  }

  async #look(): Promise<void> {
    const models = this.#options.models().filter(({ nodes }) => nodes === undefined);
    const names = new Set(models.map(({ name }) => name));
    for (const name of [...this.#found.keys()]) if (!names.has(name)) this.#found.delete(name);
    const before = [...names].map((name) => ({ name, header: this.header(name) }));
    const store = listedOnce(this.#options.store);
    for (const model of models) await this.#lookAt(model, store);
    await this.#options.headers.save();
    if (before.some(({ name, header }) => this.header(name) !== header)) this.#options.onChanged();
    this.#next?.cancel();
    const incomplete = [...this.#found.values()].some(({ problem }) => problem !== null);
    if (incomplete && !this.#stopped) this.#next = this.#options.clock.after(LOOK_MS, () => void this.look());
  }

  async #lookAt({ name, source, kind, load }: ModelSpec, store: ModelStore): Promise<void> {
    // Its own program locates the weights, and downloads them if needed.
    if (source.type === "opaque") return void this.#found.set(name, { identity: null, header: null, problem: null });
    const before = this.#found.get(name);
    let identity: string | null = null;
    let found: Found;
    try {
      const file = await locateWeights(source, store);
      identity = `${await identityOf(file)} ${load.projectorPath === "" ? "" : await identityOf(load.projectorPath)}`;
      if (before?.identity === identity && before.problem === null) return;
      const { read } = this.#options.headers;
      const projector = await checkProjector(load.projectorPath, read);
      const header = await checkWeights(file, kind, read);
      found = { identity, header: header === null ? null : withCapabilities(header, projector), problem: null };
    } catch (error) {
      const { message, remedy } = toAssistantError(error);
      found = { identity, header: null, problem: remedy === null ? message : `${message} ${remedy}` };
    }
    this.#found.set(name, found);
    if (before !== undefined && before.problem !== null && found.problem === null) this.#options.onMended(name);
  }
}

const withCapabilities = (header: GgufHeader, projector: GgufHeader | null): GgufHeader => ({
  ...header,
  capabilities: withProjector(header.capabilities, projector?.capabilities ?? null),
});

/** Changes whenever the file does; one that is not there is the reader's to complain about. */
async function identityOf(file: string): Promise<string> {
  const found = await stat(file).catch(() => null);
  return found === null ? file : `${file} ${found.dev} ${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
}
