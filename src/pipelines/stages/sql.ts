import type { StageSettings } from "../../config/schema/stages.ts";
import { SqliteFile } from "../sqlite.ts";
import type { Stage } from "../stage.ts";

/** Runs a statement for each value, and passes the value on. */
export function sqlStage(settings: StageSettings["sql"]): Stage {
  const { database, statement, type = "text" } = settings;
  const file = new SqliteFile(database, settings);
  return {
    accepts: type,
    emits: type,
    isSink: true,
    async *run(input, { user, requestId, signal }) {
      for await (const next of input) {
        await file.change(statement, { value: next, user, request_id: requestId }, signal);
        yield { next };
      }
    },
    async heartbeat() {
      await file.rows("SELECT 1", 1);
    },
    close: () => file.close(),
  };
}
