import type { JsonSchema } from "../../../core/schema.ts";
import { TaskBody } from "../../../tasks/body.ts";
import { taskStatuses } from "../../../tasks/record.ts";
import { statedBody } from "../../front/checked-body.ts";
import type { RouteDescription } from "../../front/describe.ts";

const orNull = (type: string): JsonSchema => ({ type: [type, "null"] });
const Task: JsonSchema = {
  title: "Task",
  type: "object",
  required: ["task_id", "status", "model", "created_at", "updated_at"],
  properties: {
    task_id: { type: "string", pattern: "^(task-[0-9a-f]{16}|(batch|resp)_[0-9a-f]{32})$" },
    status: { enum: [...taskStatuses] },
    model: { type: "string" },
    created_at: { type: "string" },
    updated_at: { type: "string" },
    finished_at: orNull("string"),
    result: orNull("object"),
    error: orNull("string"),
    webhook_url: orNull("string"),
    idempotency_key: orNull("string"),
    trace_id: { type: "string" },
  },
};
const body: JsonSchema = { title: "TaskRequest", ...statedBody(TaskBody) };
const page: JsonSchema = {
  type: "object",
  required: ["tasks"],
  properties: { tasks: { type: "array", items: Task }, next: orNull("string") },
};
const json = (schema: JsonSchema): NonNullable<RouteDescription["answers"]> => ({ "application/json": schema });

/** The routes under `/api/v1/tasks`. */
export const described = {
  create: { summary: "Make a task", body, status: 201, answers: json(Task) },
  batch: {
    summary: "Create several tasks, all or none",
    body: { type: "object", required: ["tasks"], properties: { tasks: { type: "array", items: body, minItems: 1 } } },
    status: 201,
    answers: json(page),
  },
  list: {
    summary: "List the tasks, newest first",
    query: {
      properties: {
        status: { enum: [...taskStatuses] },
        limit: { type: "integer", minimum: 1, maximum: 1000 },
        after: { type: "string", description: "`next` of the page before." },
      },
    },
    answers: json(page),
  },
  show: { summary: "Show a task", answers: json(Task) },
  report: { summary: "Show a task with its times, parameters and log" },
  stream: {
    summary: "Stream the output of a task, from the start",
    answers: { "text/event-stream": { type: "string" } },
  },
  cancel: { summary: "End a task now", answers: json(Task) },
  secret: { summary: "Show the secret that signs webhooks" },
  delete: { summary: "Delete a task that has ended", status: 204 },
} satisfies Readonly<Record<string, RouteDescription>>;
