import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { EngineAvailability } from "../core/engine.ts";
import type { StartOrder } from "../core/fleet.ts";
import type { ModelSpec } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";

export interface SlotCacheOptions {
  /** One folder for each model in it; made when needed, mode 0700. */
  readonly directory: string;
  /** Bytes that all saved slots of all models may take; 0: nothing is saved. */
  budgetBytes(): number;
  readonly probe: EngineProbe;
  readonly log: { info(facts: object, message: string): void; warn(facts: object, message: string): void };
}

/** Where the slots of one instance go, and which saved ones fit it. */
export interface SlotPlace {
  readonly directory: string;
  /** Names the model's settings, and after a dash all else that a saved state depends on. */
  readonly key: string;
  readonly slots: number;
}

/** A conversation shorter than this is prefilled in no time. */
const FEWEST_TOKENS = 64;
/** What must stay free on the disk. */
const FREE_BYTES = 2 ** 30;
/** Of a save that was cut short, whoever was writing. */
const STALE_PART_MS = 60_000;

/**
 * Conversations of instances that are not up, on disk: what an idle instance holds in its slots is saved before it is
 * stopped, and given to the next instance of the model that starts. Every call is bounded by its signal; none rejects,
 * since a conversation that is lost is only prefilled again.
 */
export class SlotCache {
  readonly #options: SlotCacheOptions;
  /** Files that an instance is reading now. */
  readonly #taken = new Set<string>();

  constructor(options: SlotCacheOptions) {
    this.#options = options;
  }

  /** For the launch of an instance; null where nothing is to be saved. */
  async place({ model, device }: StartOrder, modelPath: string, engine: EngineAvailability): Promise<SlotPlace | null> {
    if (this.#options.budgetBytes() === 0 || model.kind !== "chat" || !engine.available || model.load.projectorPath !== "") return null;
    try {
      const directory = join(this.#options.directory, model.name);
      const [weights, program] = await Promise.all([stat(modelPath), stat(engine.path), mkdir(directory, { recursive: true, mode: 0o700 })]);
      const rest = [modelPath, weights.size, weights.mtimeMs, engine.path, engine.version, program.size, program.mtimeMs, device.vendor, device.name];
      return { directory, key: `${shortHash(model.fingerprint)}-${shortHash(JSON.stringify(rest))}`, slots: model.load.slots };
    } catch (error) {
      this.#options.log.warn({ model: model.name, err: error }, "conversations of this model cannot be kept on disk");
      return null;
    }
  }

  /** Saves the conversations in all slots, the one used last at last, so that it is the last to be deleted. Resolves at the latest soon after the signal. */
  async save(place: SlotPlace, socketPath: string, signal: AbortSignal): Promise<void> {
    const { probe, log } = this.#options;
    const started = performance.now();
    let tokens = 0;
    let bytes = 0;
    try {
      const slots = await probe.slots(socketPath, signal);
      const worth = slots.filter((slot) => !slot.busy && (slot.cachedTokens ?? FEWEST_TOKENS) >= FEWEST_TOKENS);
      worth.sort((a, b) => (a.task ?? -1) - (b.task ?? -1));
      for (const { id, cachedTokens } of worth) {
        const expected = tokens > 0 ? ((cachedTokens ?? 0) * bytes) / tokens : 0;
        if (!(await this.#hasRoom(place.directory, expected))) break;
        const saved = await this.#saveOne(place, socketPath, id, signal);
        tokens += saved.tokens;
        bytes += saved.bytes;
      }
    } catch (error) {
      log.warn({ place: place.directory, err: error }, "some conversations were not saved; they will be prefilled again");
    }
    await this.#keepBudget().catch(() => {});
    if (tokens > 0) log.info({ place: place.directory, tokens, bytes, ms: Math.round(performance.now() - started) }, "conversations saved");
  }

  /** Gives the conversations used last to an instance that has just started and has done nothing yet. Resolves to how many it took. */
  async restore(place: SlotPlace, socketPath: string, signal: AbortSignal): Promise<number> {
    const { probe, log } = this.#options;
    const started = performance.now();
    const files = await this.#claim(place).catch(() => []);
    let tokens = 0;
    let taken = 0;
    try {
      for (const [slot, file] of files.entries()) {
        if (signal.aborted || probe.restoreSlot === undefined) break;
        const restored = await probe.restoreSlot(socketPath, slot, file, signal).catch((error: unknown) => {
          log.warn({ place: place.directory, file, err: error }, "a saved conversation was not taken back; it will be prefilled again");
          return 0;
        });
        tokens += restored;
        if (restored > 0) taken += 1;
        // What cannot be read now never can; what was read is in the slot, and saved anew when that ends.
        if (!signal.aborted) await rm(join(place.directory, file), { force: true });
      }
    } finally {
      for (const file of files) this.#taken.delete(join(place.directory, file));
    }
    if (tokens > 0) log.info({ place: place.directory, tokens, conversations: taken, ms: Math.round(performance.now() - started) }, "conversations restored");
    return taken;
  }

  /** Deletes the conversations of all models but these, and what is over the budget. */
  async keepOnly(models: readonly Pick<ModelSpec, "name">[]): Promise<void> {
    const names = new Set(models.map((model) => model.name));
    const folders = await readdir(this.#options.directory).catch(() => []);
    try {
      for (const folder of folders) if (!names.has(folder)) await rm(join(this.#options.directory, folder), { recursive: true, force: true });
      await this.#keepBudget();
    } catch (error) {
      this.#options.log.warn({ err: error }, "conversations on disk that nobody needs could not be deleted");
    }
  }

  async #saveOne(place: SlotPlace, socketPath: string, id: number, signal: AbortSignal): Promise<{ tokens: number; bytes: number }> {
    const name = `${place.key}-${Date.now().toString(36)}-${process.hrtime.bigint().toString(36)}-${id}.slot`;
    const part = join(place.directory, `${name}.part`);
    const saved = (await this.#options.probe.saveSlot?.(socketPath, id, `${name}.part`, signal)) ?? { tokens: 0, bytes: 0 };
    if (saved.tokens < FEWEST_TOKENS) await rm(part, { force: true });
    else await rename(part, join(place.directory, name));
    return saved.tokens < FEWEST_TOKENS ? { tokens: 0, bytes: 0 } : saved;
  }

  async #hasRoom(directory: string, bytes: number): Promise<boolean> {
    if (bytes > this.#options.budgetBytes()) return false;
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize > bytes + FREE_BYTES;
  }

  /** The newest files that fit, no more than there are slots; nobody else gets them. Deletes those that will never fit again. */
  async #claim({ directory, key, slots }: SlotPlace): Promise<string[]> {
    const files = await listFiles(directory);
    const settings = key.slice(0, key.indexOf("-") + 1);
    for (const { path, name, modifiedAt } of files) {
      const cutShort = name.endsWith(".part") && Date.now() - modifiedAt > STALE_PART_MS;
      if (cutShort || !name.startsWith(settings)) await rm(path, { force: true });
    }
    const fitting = files.filter(({ path, name }) => name.startsWith(`${key}-`) && name.endsWith(".slot") && !this.#taken.has(path));
    const chosen = fitting.sort((a, b) => b.modifiedAt - a.modifiedAt).slice(0, slots);
    for (const { path } of chosen) this.#taken.add(path);
    return chosen.map(({ name }) => name);
  }

  async #keepBudget(): Promise<void> {
    const folders = await readdir(this.#options.directory).catch(() => []);
    const lists = await Promise.all(folders.map((folder) => listFiles(join(this.#options.directory, folder)).catch(() => [])));
    const files = lists.flat().sort((a, b) => b.modifiedAt - a.modifiedAt);
    let bytes = 0;
    for (const file of files) {
      bytes += file.bytes;
      if (bytes > this.#options.budgetBytes() && !this.#taken.has(file.path) && !file.name.endsWith(".part")) await rm(file.path, { force: true });
    }
  }
}

interface SavedFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly modifiedAt: number;
}

async function listFiles(directory: string): Promise<SavedFile[]> {
  const names = await readdir(directory);
  const files = await Promise.all(
    names.map(async (name): Promise<SavedFile | null> => {
      const path = join(directory, name);
      const found = await stat(path).catch(() => null);
      return found === null ? null : { name, path, bytes: found.size, modifiedAt: found.mtimeMs };
    }),
  );
  return files.filter((file) => file !== null);
}

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
