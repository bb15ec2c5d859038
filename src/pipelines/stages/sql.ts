import type { StageSettings } from "../../config/schema/stages.ts";
import { SqliteFile } from "../sqlite.ts";
import type { Stage } from "../stage.ts";

/** Runs a statement for each value, and passes the value on. */
export function sqlStage({ database, statement, type = "text" }: StageSettings["sql"]): Stage {
  const file = new SqliteFile(database);
  return {
    accepts: type,
    emits: type,
    isSink: true,
    async *run(input, { user, requestId }) {
      for await (const next of input) {
        await file.change(statement, { value: next, user, request_id: requestId });
        yield { next };
      }
    },
    async heartbeat() {
      await file.rows("SELECT 1", 1);
    },
    async close() {
      file.close();
    },
  };
}
