import type { Collection, Page, Store } from "../../../../core/store.ts";
import type { Answered } from "./ask.ts";
import { type BatchCounts, type LineResult, resultCollection } from "./record.ts";

const PAGE = 200;

/** The answers of incomplete batches, on disk: these requests are not sent again. */
export class Results {
  readonly #store: Pick<Store, "collection" | "commit">;
  readonly #records: Collection<LineResult>;

  constructor(store: Pick<Store, "collection" | "commit">) {
    this.#store = store;
    this.#records = store.collection(resultCollection);
  }

  /**
   * Durable when this resolves. A line has one answer: that of another attempt is ignored. `expiresAt`: in case it is
   * never deleted.
   */
  async add(
    batch: string,
    line: number,
    { isFailed, json }: Answered,
    { tenant, expiresAt }: { readonly tenant: string; readonly expiresAt: number },
  ): Promise<void> {
    const result = { batch, line, isFailed, json };
    await this.#store.commit([
      this.#records.put(`${batch}:${line}`, result, { tenant, expiresAt, expect: 0, beyondLimits: true }),
    ]);
  }

  async counts(batch: string): Promise<Omit<BatchCounts, "total">> {
    const of = (isFailed: boolean): Promise<number> =>
      this.#records.count({ index: "batch", equals: [batch, Number(isFailed)] });
    return { completed: await of(false), failed: await of(true) };
  }

  /** Numbers of the lines that have an answer. */
  async lines(batch: string): Promise<Set<number>> {
    const lines = new Set<number>();
    for (const isFailed of [false, true])
      for await (const { value } of this.#all(batch, isFailed)) lines.add(value.line);
    return lines;
  }

  /** Lines of an output file, in the order of the input. */
  async *texts(batch: string, isFailed: boolean): AsyncGenerator<Buffer> {
    for await (const { value } of this.#all(batch, isFailed)) yield Buffer.from(value.json);
  }

  async remove(batch: string): Promise<void> {
    for (const isFailed of [0, 1])
      for (;;) {
        const { records } = await this.#records.list({ index: "batch", equals: [batch, isFailed], limit: PAGE });
        if (records.length === 0) break;
        await this.#store.commit(records.map(({ id }) => this.#records.remove(id)));
      }
  }

  async *#all(batch: string, isFailed: boolean): AsyncGenerator<{ readonly value: LineResult }> {
    for (let after: string | null | undefined; after !== null; ) {
      const page: Page<LineResult> = await this.#records.list({
        ...{ index: "batch", equals: [batch, Number(isFailed)], limit: PAGE },
        ...(after === undefined ? {} : { after }),
      });
      yield* page.records;
      after = page.next;
    }
  }
}
