import { Readable } from "node:stream";
import { presentable } from "../../../core/errors.ts";
import type { TaskEvent } from "../../../tasks/follow.ts";
import { taskResponse } from "../../../tasks/wire.ts";
import { errorBody } from "./error-body.ts";

/** The events of a task as an event stream. A disconnect has no effect on the task. */
export const eventsOf = (events: AsyncIterable<TaskEvent>, requestId: string): Readable =>
  Readable.from(
    (async function* () {
      try {
        for await (const event of events) yield textOf(event);
      } catch (error) {
        yield written("error", errorBody(presentable(error), requestId));
      }
    })(),
  );

function textOf(event: TaskEvent): string {
  switch (event.type) {
    case "status":
      return written("status", { task_id: event.task.id, status: event.task.value.status });
    case "text":
      return written("text", { text: event.text });
    case "restart":
      return written("restart", {});
    case "idle":
      return ": waiting\n\n";
    case "end":
      return written("end", taskResponse(event.task.id, event.task.value));
  }
}

const written = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
