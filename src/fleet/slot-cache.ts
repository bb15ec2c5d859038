import { createHash } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Endpoint } from "../core/endpoint.ts";
import type { EngineAvailability } from "../core/engine.ts";
import type { StartOrder } from "../core/fleet.ts";
import { type ModelSpec, modelKinds } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";
import { SlotFiles, type SlotPlace } from "./slot-files.ts";

export type { SlotPlace } from "./slot-files.ts";

export interface SlotCacheOptions {
  /** Contains one folder per model; created when needed, mode 0700. */
  readonly directory: string;
  /** Limit for the saved conversations of all models together, bytes; 0: none are saved. */
  budgetBytes(): number;
  readonly probe: EngineProbe;
  readonly log: { info(facts: object, message: string): void; warn(facts: object, message: string): void };
}

/** A running instance that may take over conversations of another one. */
export interface Successor {
  readonly place: SlotPlace;
  readonly endpoint: Endpoint;
  readonly signal: AbortSignal;
  /** Called once with the names of what it received, most recently used first, if any. */
  readonly took: (names: readonly string[]) => void;
}

/** A shorter conversation is prefilled in no time. */
const MIN_TOKENS = 64;

interface Saved {
  readonly tokens: number;
  readonly bytes: number;
}

/**
 * Conversations of stopped instances, on disk: what an idle instance holds in its slots and its host-memory cache is
 * saved before it is stopped. Running instances of the same model take copies, and the next one that starts is given
 * the rest. Every call is bounded by its signal; none rejects, since a lost conversation is only prefilled again.
 */
export class SlotCache {
  readonly #options: SlotCacheOptions;
  readonly #files: SlotFiles;

  constructor(options: SlotCacheOptions) {
    this.#options = options;
    this.#files = new SlotFiles(options.directory, () => options.budgetBytes());
  }

  /** For the launch of an instance; null if nothing is to be saved. */
  async place({ model, device }: StartOrder, modelPath: string, engine: EngineAvailability): Promise<SlotPlace | null> {
    if (
      this.#options.budgetBytes() === 0 ||
      !modelKinds[model.kind].generates ||
      !engine.available ||
      model.load.projectorPath !== "" ||
      // The state of a draft model is not saved, and without it the draft model would guess from nothing.
      (model.load.llama.speculation?.draft ?? null) !== null
    )
      return null;
    try {
      const directory = join(this.#options.directory, model.name);
      const [weights, program] = await Promise.all([
        stat(modelPath),
        stat(engine.path),
        mkdir(directory, { recursive: true, mode: 0o700 }),
      ]);
      const rest = [
        modelPath,
        weights.size,
        weights.mtimeMs,
        engine.path,
        engine.version,
        program.size,
        program.mtimeMs,
        device.vendor,
        device.name,
      ];
      return {
        directory,
        key: `${shortHash(model.fingerprint)}-${shortHash(JSON.stringify(rest))}`,
        slots: model.load.slots,
        copies: new Set(),
      };
    } catch (error) {
      this.#options.log.warn({ model: model.name, err: error }, "conversations of this model cannot be kept on disk");
      return null;
    }
  }

  /**
   * Saves the conversations in all slots, then those in the host-memory cache, most recently used first, within the
   * budget. Resolves to their names in that order, at the latest soon after the signal.
   */
  async save(place: SlotPlace, endpoint: Endpoint, signal: AbortSignal): Promise<readonly string[]> {
    const { probe, log } = this.#options;
    const startedAt = Date.now();
    const names: string[] = [];
    const sum = { tokens: 0, bytes: 0 };
    let full = false;
    /** Resolves to false when no more can be saved. */
    const saveNext = async (
      from: string,
      expected: number,
      write: (part: string) => Promise<Saved | null>,
    ): Promise<boolean> => {
      full = !(await this.#files.hasRoom(place.directory, sum.bytes, expected));
      if (full) return false;
      const name = `${place.key}-${startedAt.toString(36)}-${process.hrtime.bigint().toString(36)}-${from}.slot`;
      const saved = await write(`${name}.part`);
      if (saved === null || saved.tokens < MIN_TOKENS) await this.#files.delete(place, `${name}.part`);
      else {
        await this.#files.keep(place.directory, name, startedAt - names.length);
        names.push(name);
        sum.tokens += saved.tokens;
        sum.bytes += saved.bytes;
      }
      return saved !== null;
    };
    try {
      const slots = (await probe.slots?.(endpoint, signal)) ?? [];
      const worth = slots.filter((slot) => !slot.busy && (slot.cachedTokens ?? MIN_TOKENS) >= MIN_TOKENS);
      let goesOn = true;
      for (const { id, cachedTokens = 0 } of worth.sort((a, b) => (b.task ?? -1) - (a.task ?? -1))) {
        const expected = sum.tokens > 0 ? (cachedTokens * sum.bytes) / sum.tokens : 0;
        goesOn &&= await saveNext(
          String(id),
          expected,
          async (part) => (await probe.saveSlot?.(endpoint, id, part, signal)) ?? null,
        );
      }
      for (let index = 0; goesOn; index++) {
        const expected = names.length > 0 ? sum.bytes / names.length : 0;
        goesOn = await saveNext(
          `c${index}`,
          expected,
          async (part) => (await probe.saveCached?.(endpoint, index, part, signal)) ?? null,
        );
      }
      // Conversations it had copies of are among those it has saved now, or were evicted long ago.
      if (!full)
        for (const name of place.copies) if (!this.#files.isTaken(place, name)) await this.#files.delete(place, name);
    } catch (error) {
      log.warn(
        { place: place.directory, err: error },
        "some conversations were not saved; they will be prefilled again",
      );
    }
    await this.#files.keepBudget().catch(() => {});
    if (names.length > 0)
      log.info(
        { place: place.directory, conversations: names.length, ...sum, ms: Date.now() - startedAt },
        "conversations saved",
      );
    return names;
  }

  /**
   * Gives the most recently used conversations to an instance that has just started and is still unused: as many as it
   * has slots, and copies of the others as its host-memory cache has room. Resolves to the names of what it loaded,
   * most recently used first.
   */
  async restore(place: SlotPlace, endpoint: Endpoint, signal: AbortSignal): Promise<readonly string[]> {
    const { probe, log } = this.#options;
    const started = performance.now();
    const { own, others } = await this.#files.claim(place).catch(() => ({ own: [], others: [] }));
    const names: string[] = [];
    try {
      for (const [slot, name] of own.entries()) {
        if (signal.aborted || probe.restoreSlot === undefined) break;
        const tokens = await probe
          .restoreSlot(endpoint, slot, name, signal)
          .catch((error: unknown) => this.#lost(place, name, error));
        if (tokens > 0) names.push(name);
        // An unreadable file stays unreadable; a conversation that was loaded is in the slot, and is saved again when
        // that ends.
        if (!signal.aborted) await this.#files.delete(place, name);
      }
    } finally {
      this.#files.release(place, own);
    }
    names.push(...(await this.#copy(place, endpoint, others, signal, true)));
    const ms = Math.round(performance.now() - started);
    if (names.length > 0)
      log.info({ place: place.directory, conversations: names.length, ms }, "conversations restored");
    return names;
  }

  /**
   * Running instances with the same settings load copies of the files in `place` into their host memory, each a part of
   * them.
   */
  async share(place: SlotPlace, successors: readonly Successor[]): Promise<void> {
    const fitting = successors.filter(
      (successor) => successor.place.directory === place.directory && successor.place.key === place.key,
    );
    if (fitting.length === 0) return;
    const names = await this.#files.fitting(place).catch(() => []);
    await Promise.all(
      fitting.map(async (successor, turn) => {
        const part = names.filter(
          (name, index) => index % fitting.length === turn && !successor.place.copies.has(name),
        );
        const taken = await this.#copy(successor.place, successor.endpoint, part, successor.signal, false);
        if (taken.length === 0) return;
        this.#options.log.info({ place: place.directory, conversations: taken.length }, "conversations taken over");
        successor.took(taken);
      }),
    );
  }

  /** Deletes the conversations of all models except these, and those over the budget. */
  async keepOnly(models: readonly Pick<ModelSpec, "name">[]): Promise<void> {
    try {
      await this.#files.keepOnly(new Set(models.map((model) => model.name)));
      await this.#files.keepBudget();
    } catch (error) {
      this.#options.log.warn({ err: error }, "unused conversations on disk could not be deleted");
    }
  }

  /**
   * Until the engine has no more room. One file at a time, so that the engine's requests are served in between. With
   * `discard`, a file that it cannot read is deleted.
   */
  async #copy(
    place: SlotPlace,
    endpoint: Endpoint,
    names: readonly string[],
    signal: AbortSignal,
    discard: boolean,
  ): Promise<string[]> {
    const copied: string[] = [];
    for (const name of names) {
      if (signal.aborted) break;
      // A starting instance is claiming it right now.
      if (this.#files.isTaken(place, name)) continue;
      const loaded = this.#options.probe.loadCached?.(endpoint, name, signal);
      const tokens = await loaded?.catch(async (error: unknown) => {
        if (discard && !signal.aborted && !this.#files.isTaken(place, name)) await this.#files.delete(place, name);
        return this.#lost(place, name, error);
      });
      if (tokens === null || tokens === undefined) break;
      if (tokens === 0) continue;
      copied.push(name);
      place.copies.add(name);
    }
    return copied;
  }

  #lost({ directory }: SlotPlace, file: string, error: unknown): number {
    this.#options.log.warn(
      { place: directory, file, err: error },
      "a saved conversation was not restored; it will be prefilled again",
    );
    return 0;
  }
}

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
