import { type CapabilityQuery, matchedKeys, matches } from "../core/capability-query.ts";
import type { Capabilities, ModelSpec } from "../core/model.ts";

/** A model, and the capabilities of one of its candidates. A model has several if its workers or nodes differ. */
export interface Offer<Model = ModelSpec> {
  readonly model: Model;
  readonly capabilities: Capabilities;
}

/** Maximum number of models compared for one request. */
const MAX_FOUND = 64;
/** In a message. */
const MAX_NEAREST = 3;

/**
 * Finds the models that offer the requested capabilities: through the rarest pair, so that thousands of offers take
 * microseconds.
 */
export class CapabilityIndex<Model = ModelSpec> {
  readonly #offers: readonly Offer<Model>[];
  /** By key, then by the value's text. */
  readonly #byPair = new Map<string, Map<string, Offer<Model>[]>>();
  /** Where the next search begins, so that many equal ones take turns. */
  #turn = 0;

  constructor(offers: Iterable<Offer<Model>>) {
    this.#offers = [...offers];
    for (const offer of this.#offers)
      for (const [key, value] of Object.entries(offer.capabilities)) this.#add(key, String(value), offer);
  }

  /** At most 64 models that match and that `accepts` allows. */
  find(query: CapabilityQuery, accepts: (model: Model) => boolean): Model[] {
    const rarest = this.#rarest(query);
    const found = new Set<Model>();
    const first = rarest.length > MAX_FOUND ? this.#turn++ % rarest.length : 0;
    for (let looked = 0; looked < rarest.length && found.size < MAX_FOUND; looked += 1) {
      const { model, capabilities } = rarest[(first + looked) % rarest.length] as Offer<Model>;
      if (matches(query, capabilities) && accepts(model)) found.add(model);
    }
    return [...found];
  }

  /** Those that offer most of the requested capabilities, but not all. */
  nearest(query: CapabilityQuery, accepts: (model: Model) => boolean): readonly Offer<Model>[] {
    const counted = this.#offers
      .map((offer) => ({ offer, matched: matchedKeys(query, offer.capabilities) }))
      .filter(({ offer, matched }) => matched > 0 && accepts(offer.model));
    const most = Math.max(0, ...counted.map(({ matched }) => matched));
    return counted
      .filter(({ matched }) => matched === most)
      .map(({ offer }) => offer)
      .slice(0, MAX_NEAREST);
  }

  #add(key: string, value: string, offer: Offer<Model>): void {
    const byValue = this.#byPair.get(key) ?? new Map<string, Offer<Model>[]>();
    this.#byPair.set(key, byValue);
    const offers = byValue.get(value);
    if (offers === undefined) byValue.set(value, [offer]);
    else offers.push(offer);
  }

  /** The offers with the rarest pair; none if nothing offers one of the pairs. */
  #rarest(query: CapabilityQuery): readonly Offer<Model>[] {
    let rarest: readonly Offer<Model>[] | null = null;
    for (const key in query) {
      const offers = this.#byPair.get(key)?.get(query[key] as string) ?? [];
      if (rarest === null || offers.length < rarest.length) rarest = offers;
    }
    return rarest ?? [];
  }
}
