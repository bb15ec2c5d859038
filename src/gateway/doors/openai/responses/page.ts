import type { Item } from "../../../../conversations/item.ts";
import { type Body, integer, invalid, oneOf, shown } from "../../../canonical/rules.ts";

const MAX_PAGE = 100;
const DEFAULT_PAGE = 20;

/** A query's number; queries are text. */
export function numberOf(name: string, written: unknown, usual: number): number {
  if (written === undefined) return usual;
  const value = typeof written === "string" && /^\d{1,9}$/.test(written) ? Number(written) : Number.NaN;
  const rule = integer(0);
  if (rule.passes(value)) return value;
  throw invalid(name, `"${name}" must be ${rule.expected}; found ${shown(written)}.`);
}

/** A page of items, the last first, as a query asks for it. Throws `invalid_request`. */
export function pageOf(items: readonly Item[], query: Body): object {
  const { after, limit, order = "desc" } = query;
  const rule = oneOf("asc", "desc");
  if (!rule.passes(order)) throw invalid("order", `"order" must be ${rule.expected}; found ${shown(order)}.`);
  const size = numberOf("limit", limit, DEFAULT_PAGE);
  const pages = integer(1, MAX_PAGE);
  if (!pages.passes(size)) throw invalid("limit", `"limit" must be ${pages.expected}; found ${size}.`);
  const ordered = order === "asc" ? items : [...items].reverse();
  const at = after === undefined ? 0 : ordered.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && at === 0) throw invalid("after", '"after" must be the id of an item of the list.');
  const data = ordered.slice(at, at + size);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: at + size < ordered.length,
  };
}
