import { columnOf, tableOf } from "./names.ts";
import type { CollectionShape } from "./protocol.ts";

/** What a row counts for, in bytes. */
export const heldSize = ({ blobBytes }: CollectionShape, row: string): string =>
  `octet_length(${row}.json)${blobBytes === undefined ? "" : ` + coalesce(${row}.${columnOf(blobBytes)}, 0)`}`;

/**
 * Counts the collection's table, and lets SQLite itself maintain the count: however a row is added or removed, the
 * table `held` is updated in the same transaction.
 */
export function holdingSql(shape: CollectionShape): string {
  const table = tableOf(shape.name);
  const name = `'${shape.name}'`;
  const adds = `
    INSERT INTO held SELECT NEW.tenant, ${name}, 0, 0
      WHERE NOT EXISTS (SELECT 1 FROM held WHERE tenant = NEW.tenant AND collection = ${name});
    UPDATE held SET records = records + 1, bytes = bytes + ${heldSize(shape, "NEW")}
      WHERE tenant = NEW.tenant AND collection = ${name};`;
  const takes = `
    UPDATE held SET records = records - 1, bytes = bytes - (${heldSize(shape, "OLD")})
      WHERE tenant = OLD.tenant AND collection = ${name};`;
  const triggers = { insert: adds, update: takes + adds, delete: takes };
  return `
    DELETE FROM held WHERE collection = ${name};
    INSERT INTO held SELECT tenant, ${name}, count(*), sum(${heldSize(shape, table)}) FROM ${table} GROUP BY tenant;
    ${Object.entries(triggers)
      .map(
        ([event, body]) => `
    DROP TRIGGER IF EXISTS "held_${shape.name}_${event}";
    CREATE TRIGGER "held_${shape.name}_${event}" AFTER ${event.toUpperCase()} ON ${table} BEGIN ${body} END;`,
      )
      .join("")}`;
}
