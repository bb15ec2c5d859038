import type { SourceSettings } from "../../config/schema/stages.ts";
import { SqliteFile } from "../sqlite.ts";
import { isHopeless, Pauses, pause, requestOf, type Source, type SourcePorts } from "./source.ts";

const DEFAULT_POLL_S = 1;

/** Rows of a query, asked again and again: `done` takes each that was answered out of it. */
export function sqlSource(settings: SourceSettings["sql"], ports: SourcePorts): Source {
  const { database, query, done, failed, poll_s: pollS = DEFAULT_POLL_S } = settings;
  const file = new SqliteFile(database, settings);
  const ending = new AbortController();
  const { signal } = ending;
  const pauses = new Pauses(signal);

  const settle = async (row: Record<string, unknown>): Promise<void> => {
    try {
      const answer = await ports.answer({ ...requestOf(""), ...row });
      if (!signal.aborted) await file.change(done, { ...row, answer });
    } catch (error) {
      if (failed !== undefined && isHopeless(error) && !signal.aborted)
        await file.change(failed, { ...row, error: (error as Error).message });
      throw error;
    }
  };
  const loop = async (): Promise<void> => {
    while (!signal.aborted)
      try {
        const rows = await file.rows(query, ports.concurrency);
        if (rows.length === 0) await pause(pollS * 1000, signal);
        else {
          const settled = await Promise.allSettled(rows.map(settle));
          const wrong = settled.find((result) => result.status === "rejected");
          if (wrong?.status === "rejected") throw wrong.reason;
        }
        pauses.succeeded();
      } catch (error) {
        if (signal.aborted) return;
        ports.trouble(error as Error);
        await pauses.failed();
      }
  };
  const ended = loop();
  return {
    async close() {
      ending.abort();
      await ended;
      await file.close();
    },
  };
}
