import type {
  ChatRecord,
  CompletionInterface,
  GeneralProcessInterface,
  RequestContext,
  TextLevelFilteringInterface,
} from "./records.ts";

/** Parts of a layout: a flow around `llm`, or a process that replaces it. */
export type LayoutParts =
  | {
      readonly llm: CompletionInterface;
      readonly ingressFilters?: readonly TextLevelFilteringInterface[];
      readonly egressFilters?: readonly TextLevelFilteringInterface[];
    }
  | { readonly process: GeneralProcessInterface };

/** How a worker processes a chat: ingress filters, the LLM, egress filters. No state is kept between requests. */
export class Layout {
  readonly #parts: LayoutParts;
  /** Class of the LLM or process, for metrics and logs. */
  readonly mainClass: string;
  readonly isDefault: boolean;

  constructor(parts: LayoutParts, options: { readonly mainClass?: string; readonly isDefault?: boolean } = {}) {
    this.#parts = parts;
    const main = "llm" in parts ? parts.llm : parts.process;
    this.mainClass = options.mainClass ?? main.constructor.name;
    this.isDefault = options.isDefault ?? false;
  }

  /** The answer, piece by piece. */
  async *run(history: readonly ChatRecord[], context: RequestContext): AsyncGenerator<string> {
    const parts = this.#parts;
    if (!("llm" in parts)) {
      yield* parts.process.process(history, context);
      return;
    }
    const { llm, ingressFilters = [], egressFilters = [] } = parts;
    let records = history;
    for (const filter of ingressFilters) {
      const session = sessionOf(filter);
      records = [...(await session.filter(records)), ...((await session.end?.()) ?? [])];
    }
    const egress = egressFilters.map(sessionOf);
    for await (const piece of llm.complete(records, context)) {
      const record: ChatRecord = typeof piece === "string" ? { role: "bot", msg: piece } : piece;
      yield* texts(await through(egress, [record]));
    }
    for (const [index, filter] of egress.entries())
      yield* texts(await through(egress.slice(index + 1), (await filter.end?.()) ?? []));
  }
}

const sessionOf = (filter: TextLevelFilteringInterface): TextLevelFilteringInterface => filter.session?.() ?? filter;

async function through(
  filters: readonly TextLevelFilteringInterface[],
  given: readonly ChatRecord[],
): Promise<readonly ChatRecord[]> {
  let records = given;
  for (const filter of filters) {
    if (records.length === 0) break;
    records = await filter.filter(records);
  }
  return records;
}

function* texts(records: readonly ChatRecord[]): Generator<string> {
  for (const { role, msg } of records) if (role !== "user" && msg !== "") yield msg;
}
