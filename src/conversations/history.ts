import type { InferenceCall, JsonObject } from "../core/inference.ts";
import type { ModelSpec } from "../core/model.ts";
import { beginsTurn, type Item } from "./item.ts";
import type { StoredItem } from "./record.ts";
import { newest, turnsOf } from "./turns.ts";
import { overflow, promptBudget } from "./window.ts";

/** Counts tokens of texts by a model's own vocabulary; null where that is not cheap. */
export type TokenCounter = (
  model: ModelSpec,
  texts: readonly string[],
  origin: HistoryAsk["origin"],
) => Promise<readonly number[] | null>;

/** What follows a history, and which model answers. */
export interface HistoryAsk {
  readonly model: ModelSpec;
  /** New items. */
  readonly added: readonly Item[];
  /** A system prompt that replaces the conversation's own; null: there is none. */
  readonly systemPrompt: string | null;
  /** Of the request, unchecked. */
  readonly tools: unknown;
  /** Most tokens of the answer; null: no limit. */
  readonly maxTokens: number | null;
  /** Most items; missing: all that fit. */
  readonly maxItems?: number;
  readonly origin: Pick<InferenceCall, "caller" | "cancellation" | "route" | "priority" | "deadlineAt">;
}

/** Most tokens that a chat template writes around an item. */
const TOKENS_AROUND = 16;
/** Assumed for an image or audio part; the real number depends on the projector. */
const TOKENS_PER_MEDIUM = 2_048;
/** Counts that are remembered, over all models. */
const MAX_KNOWN = 50_000;

/** One part of a prompt. */
interface Piece {
  /** By which its count is remembered; null: it is new. */
  readonly key: string | null;
  readonly text: string;
  /** Beside the text. */
  readonly more: number;
}

/** Cuts histories to what a model's context holds. */
export class HistoryWindow {
  readonly #count: TokenCounter;
  readonly #known = new Map<string, number>();

  constructor(count: TokenCounter) {
    this.#count = count;
  }

  /**
   * The items that fit: instructions at the beginning and the newest complete turns. Nothing is counted if it certainly
   * fits, by its bytes, of which each token has at least one.
   */
  async fitting(items: readonly StoredItem[], ask: HistoryAsk): Promise<readonly Item[]> {
    const { model, added, maxItems = Number.MAX_SAFE_INTEGER } = ask;
    const all = newest(items, ({ item }) => item, {
      maxItems,
      maxBytes: Number.MAX_SAFE_INTEGER,
      maxTurnBytes: Number.MAX_SAFE_INTEGER,
    });
    const { contextTokens } = model.load;
    // Of a model elsewhere it may not be known.
    if (contextTokens === 0) return itemsIn(all);
    const { instructions, turns } = turnsOf(all, ({ item }) => item);
    const stored = (each: StoredItem): Piece => pieceOf(each.item, `${model.name} ${each.at} ${each.item.id}`);
    const fixed = [...instructions.map(stored), ...added.map((item) => pieceOf(item, null)), ...newTexts(ask)];
    const turnPieces = turns.map((turn) => turn.map(stored));
    const [first] = added;
    const keepsLast = first === undefined || !beginsTurn(first);
    const dropped = (counted: Counts): number => {
      const costs = { fixed: this.#sum(fixed, counted), turns: turnPieces.map((turn) => this.#sum(turn, counted)) };
      return overflow(costs, promptBudget(contextTokens, maxTokensOf(ask)), keepsLast);
    };
    const fits = dropped(NOTHING) === 0;
    const counted = fits ? NOTHING : await this.#counted([...fixed, ...turnPieces.flat()], ask);
    return itemsIn([...instructions, ...turns.slice(dropped(counted)).flat()]);
  }

  /** Tokens of pieces: counted, or never less than they can be. */
  #sum(pieces: readonly Piece[], counted: Counts): number {
    return pieces.reduce((sum, piece) => {
      const exact = counted.get(piece) ?? (piece.key === null ? undefined : this.#known.get(piece.key));
      return sum + piece.more + (exact ?? Buffer.byteLength(piece.text));
    }, 0);
  }

  /** Has those counted that are not known. */
  async #counted(pieces: readonly Piece[], { model, origin }: HistoryAsk): Promise<Counts> {
    const unknown = pieces.filter(({ key, text }) => text !== "" && (key === null || !this.#known.has(key)));
    if (unknown.length === 0) return NOTHING;
    const texts = unknown.map(({ text }) => text);
    // A failure to count would also prevent the answer, whose error explains it.
    const counts = await this.#count(model, texts, origin).catch(() => null);
    if (counts === null) return NOTHING;
    for (const [index, { key }] of unknown.entries()) if (key !== null) this.#known.set(key, counts[index] as number);
    for (const key of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(key);
    }
    return new Map(unknown.map((piece, index) => [piece, counts[index] as number]));
  }
}

type Counts = ReadonlyMap<Piece, number>;
const NOTHING: Counts = new Map();

const itemsIn = (stored: readonly StoredItem[]): readonly Item[] => stored.map(({ item }) => item);

const maxTokensOf = ({ maxTokens, model }: HistoryAsk): number | null =>
  maxTokens ?? (model.sampling.maxTokens >= 0 ? model.sampling.maxTokens : null);

function newTexts({ systemPrompt, tools }: HistoryAsk): readonly Piece[] {
  const texts = [systemPrompt, tools === undefined || tools === null ? null : JSON.stringify(tools)];
  return texts.flatMap((text) => (text === null ? [] : [{ key: null, text, more: TOKENS_AROUND }]));
}

function pieceOf({ content, summary, output, name, arguments: args }: Item, key: string | null): Piece {
  const parts = [content, summary, output].flat().filter((part) => part !== undefined && part !== null);
  const texts = parts.map((part) => (typeof part === "string" ? part : ofPart(part as JsonObject)));
  const text = [...texts, name, args].filter((each) => typeof each === "string").join("\n");
  const media = texts.filter((each) => each === null).length;
  return { key, text, more: TOKENS_AROUND + media * TOKENS_PER_MEDIUM };
}

/** Null: it is no text. */
const ofPart = ({ text, refusal }: JsonObject): string | null => {
  const written = text ?? refusal;
  return typeof written === "string" ? written : null;
};
