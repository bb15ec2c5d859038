import { createParser } from "eventsource-parser";
import { type TaskPage, type TaskReportView, type TaskView, taskRoutes } from "../api/tasks.ts";
import type { Paths } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import { callJson, callSocket, errorFromBody, explain } from "./unix-http.ts";

type TaskEvent =
  | { readonly type: "status"; readonly status: TaskView["status"] }
  | { readonly type: "text"; readonly text: string }
  /** A new attempt began: discard the text so far. */
  | { readonly type: "restart" }
  | { readonly type: "end"; readonly task: TaskView };

/** Tasks of the daemon. Every call rejects with an AssistantError. */
export interface TaskClient {
  /** `body`: that of `POST /api/v1/tasks`. Resolves once the task is stored. */
  submit(body: object): Promise<TaskView>;
  /** Newest first. `query`: `status`, `limit`, `after`. */
  list(query: Readonly<Record<string, string>>): Promise<TaskPage>;
  /** Rejects with `task_not_found`, as do the calls below. */
  report(id: string): Promise<TaskReportView>;
  /** Rejects with `task_finished` if it has already ended. */
  cancel(id: string): Promise<TaskView>;
  webhookSecret(): Promise<string>;
  /** Events of the task, with its output from the start, until it has ended. */
  follow(id: string): AsyncGenerator<TaskEvent>;
}

/** Writes wait for a disk. */
const SILENCE_MS = 30_000;

export function taskClient({ adminSocket: socketPath }: Pick<Paths, "adminSocket">): TaskClient {
  const get = <T>(path: string): Promise<T> => callJson({ socketPath, method: "GET", path, silenceMs: SILENCE_MS });
  const post = <T>(path: string, body?: object): Promise<T> =>
    callJson({ socketPath, method: "POST", path, body, silenceMs: SILENCE_MS });
  return {
    submit: (body) => post(taskRoutes.tasks, body),
    list: (query) => get(`${taskRoutes.tasks}?${new URLSearchParams(query)}`),
    report: (id) => get(taskRoutes.report(id)),
    cancel: (id) => post(taskRoutes.cancel(id)),
    webhookSecret: async () => (await get<{ readonly secret: string }>(taskRoutes.webhookSecret)).secret,
    follow: (id) => follow(socketPath, id),
  };
}

async function* follow(socketPath: string, id: string): AsyncGenerator<TaskEvent> {
  const response = await callSocket({ socketPath, method: "GET", path: taskRoutes.stream(id), silenceMs: null });
  const events: TaskEvent[] = [];
  const parser = createParser({ onEvent: ({ event = "", data }) => events.push(eventOf(event, data)) });
  try {
    response.setEncoding("utf8");
    for await (const part of response) {
      parser.feed(part as string);
      for (const event of events.splice(0)) {
        yield event;
        if (event.type === "end") return;
      }
    }
  } catch (error) {
    throw explain(error as Error, socketPath);
  } finally {
    response.destroy();
  }
  throw new AssistantError("daemon_not_running", "The daemon exited in the middle of an answer.", {
    remedy: "The task continues when the daemon is started again with `assistant serve`.",
  });
}

function eventOf(name: string, data: string): TaskEvent {
  if (name === "error") throw errorFromBody(503, data);
  const told = JSON.parse(data) as object;
  return (name === "end" ? { type: "end", task: told } : { type: name, ...told }) as TaskEvent;
}
