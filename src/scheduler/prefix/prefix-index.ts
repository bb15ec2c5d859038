import type { PrefixMark } from "../../core/request.ts";

/** The holders of one prefix, and the number of conversations through which each holds it. */
interface Holders<Owner> {
  readonly hash: string;
  readonly counts: Map<Owner, number>;
  /** Conversations that contain it, over all holders, and those that end with it so far. */
  conversations: number;
  tips: number;
  /** Conversations that contain it, including those that a request is working on. */
  uses: number;
}

export interface HeldPrefix<Owner> {
  readonly tokens: number;
  /** With the prompt's next message. */
  readonly nextTokens: number;
  readonly holders: Readonly<Holders<Owner>>;
}

/** What one instance is assumed to have in its cache. */
export interface InstancePrefixes {
  /** By longest mark, least recently used first. */
  readonly conversations: Map<string, Conversation>;
  tokens: number;
}

interface Conversation {
  readonly marks: readonly PrefixMark[];
  /** For each mark, its holders, so that the marks of the model need not be searched again. */
  readonly path: readonly Holders<unknown>[];
  /** False while a request is working on it. */
  isHeld: boolean;
  readonly tokens: number;
  /** Grows with every use on any instance of the model; below 0 for a loaded conversation that has not been used. */
  readonly use: number;
  /** Prompt tokens as the engine counted them; 0: unknown. */
  counted: number;
}

/** The previous turn of a conversation on an instance. */
export interface PreviousTurn {
  readonly use: number;
  readonly counted: number;
}

/** A conversation that was saved when its instance ended. */
export type SleepingConversation = Pick<Conversation, "marks" | "tokens">;

const MAX_FORGOTTEN = 8;
/**
 * An engine that has less than this share of a conversation's last prompt has lost it. Templates omit some of it from
 * the next one.
 */
const KEPT_SHARE = 0.75;

export const emptyPrefixes = (): InstancePrefixes => ({ conversations: new Map(), tokens: 0 });

/**
 * Tokens of the prompt that one of the prefix's holders has. If a prompt ended with the prefix, it also has the answer,
 * which is the prompt's next message.
 */
export function heldTokens<Owner extends { readonly prefixes: InstancePrefixes }>(
  owner: Owner,
  { tokens, nextTokens, holders }: HeldPrefix<Owner>,
): number {
  const answered = owner.prefixes.conversations.get(holders.hash);
  return answered === undefined ? tokens : Math.max(tokens, Math.min(nextTokens, answered.tokens));
}

/**
 * Which instances of one model hold which prefixes. A conversation is identified by its longest mark; each conversation
 * counts in full against the capacity of its instance, because every slot keeps a copy of a shared prefix.
 *
 * This is an estimate: set when an answer ends (`begin` at dispatch, `rest` at the end), and corrected by what the
 * engine reports.
 */
export class PrefixIndex<Owner extends { readonly prefixes: InstancePrefixes }> {
  readonly #holders = new Map<string, Holders<Owner>>();
  #uses = 0;
  /** Decreases with every loaded conversation: such a use counts as before all others. */
  #given = 0;

  /** The prefixes that have a holder, longest first. */
  held(marks: readonly PrefixMark[]): HeldPrefix<Owner>[] {
    const found: HeldPrefix<Owner>[] = [];
    for (let index = marks.length - 1; index >= 0; index--) {
      const prefix = this.#heldAt(marks, index);
      if (prefix !== null) found.push(prefix);
    }
    return found;
  }

  /** Tokens of the longest prefix that has a holder. */
  longest(marks: readonly PrefixMark[]): number {
    return marks.findLast((_, index) => this.#heldAt(marks, index) !== null)?.tokens ?? 0;
  }

  /** Tokens of the longest prefix that the instance holds. */
  cachedTokens(owner: Owner, marks: readonly PrefixMark[]): number {
    for (let index = marks.length - 1; index >= 0; index--) {
      const prefix = this.#heldAt(marks, index);
      if (prefix?.holders.counts.has(owner)) return heldTokens(owner, prefix);
    }
    return 0;
  }

  /**
   * The instance starts working on a prompt with these marks, which it then holds for no other request: a busy slot
   * cannot be copied from, and its previous content is overwritten. What no longer fits into `capacityTokens` is
   * forgotten, least recently used first. Returns the conversation's previous turn there, or null if it is new.
   */
  begin(owner: Owner, marks: readonly PrefixMark[], promptTokens: number, capacityTokens: number): PreviousTurn | null {
    const tip = marks[marks.length - 1];
    if (tip === undefined) return null;
    const held = owner.prefixes;
    // Before anything is forgotten: most of its marks are those of its previous turn.
    const path = this.#pathOf(marks);
    let previous: PreviousTurn | null = null;
    // A continued conversation replaces its own prefix.
    for (const mark of marks) {
      const beginning = held.conversations.get(mark.hash);
      if (beginning === undefined) continue;
      previous = beginning;
      this.forget(owner, mark.hash);
    }
    this.#uses += 1;
    held.conversations.set(tip.hash, { marks, path, isHeld: false, tokens: promptTokens, use: this.#uses, counted: 0 });
    held.tokens += promptTokens;
    for (const oldest of held.conversations.keys()) {
      if (held.tokens <= capacityTokens || oldest === tip.hash) break;
      this.forget(owner, oldest);
    }
    return previous;
  }

  /** The instance has finished with it for now, and holds it for any request. */
  rest(owner: Owner, tip: string): void {
    const conversation = owner.prefixes.conversations.get(tip);
    if (conversation === undefined || conversation.isHeld) return;
    conversation.isHeld = true;
    this.#hold(owner, conversation.path);
  }

  /**
   * What the engine reported about a prompt: its tokens, and how many of them were cached; null if unknown. Both are
   * counted by the engine: our own estimates may be off by a factor of two, and would make the index forget what the
   * instance has.
   */
  reported(
    owner: Owner,
    tip: string,
    previous: PreviousTurn | null,
    promptTokens: number | null,
    cachedTokens: number | null,
  ): void {
    if (previous !== null && cachedTokens !== null && cachedTokens < previous.counted * KEPT_SHARE)
      this.#lost(owner, previous.use);
    const conversation = owner.prefixes.conversations.get(tip);
    if (conversation !== undefined && promptTokens !== null) conversation.counted = promptTokens;
    this.rest(owner, tip);
  }

  /** Forgets one conversation, for example one whose prompt was abandoned. */
  forget(owner: Owner, tip: string): void {
    const held = owner.prefixes;
    const conversation = held.conversations.get(tip);
    if (conversation === undefined) return;
    held.conversations.delete(tip);
    held.tokens -= conversation.tokens;
    const { path, isHeld } = conversation;
    const last = path[path.length - 1];
    if (last !== undefined && isHeld) last.tips -= 1;
    for (const holders of path) {
      holders.uses -= 1;
      if (holders.uses === 0) this.#holders.delete(holders.hash);
      if (!isHeld) continue;
      const left = (holders.counts.get(owner) ?? 1) - 1;
      holders.conversations -= 1;
      if (left > 0) holders.counts.set(owner, left);
      else holders.counts.delete(owner);
    }
  }

  /**
   * The instance loaded these conversations, most recently used first, without working on them: they are older than all
   * it has, and displace nothing.
   */
  remember(owner: Owner, conversations: readonly SleepingConversation[], capacityTokens: number): void {
    const held = owner.prefixes;
    const former = [...held.conversations];
    const added: typeof former = [];
    for (const { marks, tokens } of conversations) {
      const tip = marks[marks.length - 1];
      if (tip === undefined || held.conversations.has(tip.hash) || this.#holders.get(tip.hash)?.counts.has(owner))
        continue;
      if (held.tokens + tokens > capacityTokens) continue;
      held.tokens += tokens;
      this.#given -= 1;
      const path = this.#pathOf(marks);
      this.#hold(owner, path);
      added.unshift([tip.hash, { marks, path, isHeld: true, tokens, use: this.#given, counted: 0 }]);
    }
    held.conversations.clear();
    for (const [tip, conversation] of [...added, ...former]) held.conversations.set(tip, conversation);
  }

  /** The conversations the instance last worked on, oldest first, at most `count`. */
  latest(owner: Owner, count: number): SleepingConversation[] {
    const all = [...owner.prefixes.conversations.values()].sort((a, b) => a.use - b.use);
    return all.slice(Math.max(0, all.length - count)).map(({ marks, tokens }) => ({ marks, tokens }));
  }

  /** The instance is gone, and its cache with it. */
  clear(owner: Owner): void {
    for (const tip of owner.prefixes.conversations.keys()) this.forget(owner, tip);
  }

  /**
   * The engine had less of a conversation last used at `use` than it had then: it has evicted more than assumed. Caches
   * evict the oldest first, so whatever was used before that is gone too. At most eight are forgotten at once to bound
   * the time of a decision; the rest is discovered in the same way if it is requested.
   */
  #lost(owner: Owner, use: number): void {
    let forgotten = 0;
    for (const [tip, conversation] of owner.prefixes.conversations) {
      if (conversation.use >= use || forgotten >= MAX_FORGOTTEN) break;
      this.forget(owner, tip);
      forgotten += 1;
    }
  }

  #heldAt(marks: readonly PrefixMark[], index: number): HeldPrefix<Owner> | null {
    const mark = marks[index];
    const holders = mark && this.#holders.get(mark.hash);
    if (mark === undefined || holders === undefined || holders.conversations === 0) return null;
    return { tokens: mark.tokens, nextTokens: marks[index + 1]?.tokens ?? mark.tokens, holders };
  }

  #pathOf(marks: readonly PrefixMark[]): Holders<unknown>[] {
    return marks.map(({ hash }) => {
      let holders = this.#holders.get(hash);
      if (holders === undefined) {
        holders = { hash, counts: new Map(), conversations: 0, tips: 0, uses: 0 };
        this.#holders.set(hash, holders);
      }
      holders.uses += 1;
      return holders as Holders<unknown>;
    });
  }

  #hold(owner: Owner, path: readonly Holders<unknown>[]): void {
    for (const holders of path) {
      holders.counts.set(owner, (holders.counts.get(owner) ?? 0) + 1);
      holders.conversations += 1;
    }
    const last = path[path.length - 1];
    if (last !== undefined) last.tips += 1;
  }
}
