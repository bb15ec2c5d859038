import type { FastifyInstance, FastifyRequest } from "fastify";
import { integer, text } from "../../../config/schema/kit.ts";
import { AssistantError } from "../../../core/errors.ts";
import { Type } from "../../../core/schema.ts";
import type { Monitor } from "../../../monitor/monitor.ts";
import { type LogLevel, type LogLine, logLevels } from "../../../monitor/recent-logs.ts";
import { ownerOf } from "../../front/authorize.ts";
import { checkedBody } from "../../front/checked-body.ts";
import { described } from "./describe-monitor.ts";

export interface MonitorRoutesOptions {
  /** Null: there are no such routes. */
  readonly monitor: Monitor | null;
  readonly version: string;
}

const PREFIX = "/api/v1";
const MAX_LOGS = 1_000;
const DEFAULT_LOGS = 100;

const GpuQuery = Type.Object({ index: integer("Index of the GPU.", { minimum: 0 }) });
const StatsQuery = Type.Object({
  date: text("The day, in UTC.", { pattern: "^\\d{4}-\\d\\d-\\d\\d$", patternText: "a day such as 2026-01-31" }),
});
const LogsQuery = Type.Object({
  limit: integer("Most lines.", { minimum: 1, maximum: MAX_LOGS }),
  level: text("Only lines of this level.", { minLength: 1 }),
  task_id: text("Only lines of this task.", { minLength: 1 }),
});

/** The daemon's status and statistics. */
export function registerMonitorRoutes(app: FastifyInstance, { monitor, version }: MonitorRoutesOptions): void {
  const service = { service: "assistant", version };
  const probe = (describe: (typeof described)["root"]) => ({ config: { scope: null, describe } }) as const;
  app.get(PREFIX, probe(described.root), async () => ({ ...service, status: "running", docs: "/docs" }));
  app.get(`${PREFIX}/health`, probe(described.alive), async () => ({ status: "ok", ...service }));
  if (monitor === null) return;
  const metrics = (describe: (typeof described)["root"]) => ({ config: { scope: "metrics", describe } }) as const;
  for (const path of ["/observability", `${PREFIX}/observability`])
    app.get(path, metrics(described.tracing), async () => monitor.tracing);
  app.get(`${PREFIX}/monitor/health`, metrics(described.health), async (_, reply) => {
    const health = await monitor.health();
    return await reply.code(health.status === "healthy" ? 200 : 503).send(health);
  });
  app.get(`${PREFIX}/monitor/gpu`, metrics(described.gpu), async (request) => {
    const { index } = checkedBody(GpuQuery, withNumbers(request, ["index"]));
    return { ...(await monitor.gpu(index ?? null)), gpus: await monitor.gpus() };
  });
  app.get(`${PREFIX}/monitor/queue`, metrics(described.queue), async () => monitor.queue());
  app.get(`${PREFIX}/monitor/logs`, metrics(described.logs), async (request) => {
    const query = checkedBody(LogsQuery, withNumbers(request, ["limit"]));
    const { limit = DEFAULT_LOGS, task_id: taskId = null } = query;
    const level = query.level === undefined ? null : levelOf(query.level);
    const { lines, matching } = monitor.logs({ level, taskId, limit }, ownerOf(request.identity));
    return {
      logs: lines.map(logLine),
      total: monitor.queue().recent_logs_count,
      filtered: matching,
      filters: { limit, level, task_id: taskId },
    };
  });
  app.get(`${PREFIX}/monitor/stats`, metrics(described.stats), async (request) => {
    const { date } = checkedBody(StatsQuery, request.query);
    if (date !== undefined && Number.isNaN(Date.parse(date)))
      throw new AssistantError("invalid_request", `date: expected a day that exists, found "${date}".`, {
        param: "date",
      });
    return await monitor.statsOf(date ?? null);
  });
}

/** A query with numbers, which arrive as strings. */
function withNumbers({ query }: FastifyRequest, names: readonly string[]): Record<string, unknown> {
  const given = Object.entries(query as Record<string, unknown>);
  return Object.fromEntries(given.map(([name, value]) => [name, names.includes(name) ? Number(value) : value]));
}

/** `warn` and `WARNING` are the same. */
function levelOf(written: string): LogLevel {
  const lower = written.toLowerCase();
  const level = lower === "warn" ? "warning" : lower;
  const found = logLevels.find((each) => each === level);
  if (found !== undefined) return found;
  throw new AssistantError(
    "invalid_request",
    `level: expected ${logLevels.join(", ")}, found ${JSON.stringify(written.slice(0, 100))}.`,
    { param: "level" },
  );
}

const logLine = ({ at, level, message, part, task }: LogLine): object => ({
  timestamp: new Date(at).toISOString(),
  task_id: task?.id ?? null,
  level,
  message,
  part,
});
