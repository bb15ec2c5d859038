import type { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { toAssistantError } from "../../core/errors.ts";
import { isLocked, storeFailure } from "./failure.ts";
import { LateSync } from "./late-sync.ts";
import { openDatabase, problemsOf } from "./open.ts";
import type { Batch, BatchReply, Reply, Request, ThreadData } from "./protocol.ts";
import { Tables } from "./tables.ts";

const MAX_PROBLEMS = 20;
const { file, guest, sync } = workerData as ThreadData;
const lateSync = sync === "always" ? null : new LateSync(`${file}-wal`);
let problems: string[] = [];
let open: Opened | null = null;

interface Opened {
  readonly database: DatabaseSync;
  tables: Tables;
}

/** Owns the database. One batch is one transaction, so that many writers share the wait for the disk. */
parentPort?.on("message", (batch: Batch | null) => {
  if (batch === null) {
    lateSync?.close();
    open?.database.close();
    parentPort?.close();
    return;
  }
  const replies = serve(batch);
  parentPort?.postMessage({ replies, problems } satisfies BatchReply);
  problems = [];
});

function serve({ requests, now }: Batch): Reply[] {
  let store: Opened;
  try {
    open ??= opened();
    store = open;
  } catch (error) {
    return requests.map(() => failed(error));
  }
  const separate = (): Reply[] => requests.map((request) => alone(store, request, now));
  if (requests.length === 1 || requests.some(({ call }) => OUTSIDE.has(call))) return separate();
  try {
    return transaction(store, requests, now);
  } catch (error) {
    // Nothing was changed. Whatever is wrong with one of them must not harm the others; but a locked file would have
    // each of them wait as long again.
    if (!isLocked(error)) return separate();
    return requests.map((request) => (READING.has(request.call) ? alone(store, request, now) : failed(error)));
  }
}

function opened(): Opened {
  const database = openDatabase(file, { guest, sync, report: (problem) => problems.push(problem) });
  return { database, tables: new Tables(database) };
}

/** They cannot run within a transaction. */
const OUTSIDE: ReadonlySet<string> = new Set<Request["call"]>(["check", "backup"]);
const READING: ReadonlySet<string> = new Set<Request["call"]>([
  "get",
  "list",
  "count",
  "heldBy",
  "hasRecordsOf",
  "unreferenced",
]);

function alone(store: Opened, request: Request, now: number): Reply {
  try {
    if (OUTSIDE.has(request.call) || READING.has(request.call)) return { answer: answerTo(store, request, now) };
    const [reply] = transaction(store, [request], now);
    return reply as Reply;
  } catch (error) {
    return failed(error);
  }
}

function transaction(store: Opened, requests: readonly Request[], now: number): Reply[] {
  const { database } = store;
  const isWriting = !requests.every(({ call }) => READING.has(call));
  database.exec(isWriting ? "BEGIN IMMEDIATE" : "BEGIN");
  try {
    const replies = requests.map((request) => ({ answer: answerTo(store, request, now) }));
    database.exec("COMMIT");
    if (isWriting) lateSync?.wanted();
    return replies;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    // Tables may have been made that are not there any more.
    store.tables = new Tables(database);
    throw error;
  }
}

function answerTo({ database, tables }: Opened, request: Request, now: number): unknown {
  switch (request.call) {
    case "define":
      return tables.define(request.shape);
    case "commit":
      return tables.commit(request.writes, request.limits, now);
    case "heldBy":
      return tables.heldBy(request.tenant);
    case "get":
      return tables.get(request.collection, request.id, now);
    case "list":
      return tables.list(request.query, now);
    case "count":
      return tables.count(request.query, now);
    case "hasRecordsOf":
      return tables.hasRecordsOf(request.tenant, request.except, now);
    case "removeRecordsOf":
      return tables.removeRecordsOf(request.tenant, request.except, request.limit);
    case "expire":
      return tables.expire(request.limit, now);
    case "unreferenced":
      return tables.unreferenced(request.digests);
    case "check":
      return problemsOf(database, MAX_PROBLEMS);
    case "backup":
      database.prepare("VACUUM INTO ?").run(request.file);
      return null;
  }
}

function failed(error: unknown): Reply {
  const { code, message, remedy } = toAssistantError(storeFailure(file, error));
  return { error: { code, message, remedy } };
}
