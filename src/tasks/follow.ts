import type { Clock } from "../core/clock.ts";
import { AssistantError } from "../core/errors.ts";
import type { StoredTask } from "./ledger.ts";
import type { Outputs } from "./output.ts";
import { isEnded, type TaskStatus } from "./record.ts";
import type { Relay } from "./relay.ts";

/** Events of a task, for its followers. */
export type TaskEvent =
  | { readonly type: "status"; readonly task: StoredTask }
  /** More of the output. */
  | { readonly type: "text"; readonly text: string }
  /** Another attempt starts: the previous output is void. */
  | { readonly type: "restart" }
  /** Nothing has happened for a while. */
  | { readonly type: "idle" }
  | { readonly type: "end"; readonly task: StoredTask };

export interface FollowOptions {
  /** Rejects with `task_not_found`. */
  read(): Promise<StoredTask>;
  readonly outputs: Outputs;
  /** Null: there are no other daemons. */
  readonly relay: Relay | null;
  readonly clock: Clock;
  /** Whether the daemon is stopping. */
  isClosed(): boolean;
}

const IDLE_MS = 15_000;

/**
 * The events of a task until it has ended, with its output from the start. Throws `shutting_down` when the daemon
 * stops.
 */
export async function* followTask(
  id: string,
  { read, outputs, relay, clock, isClosed }: FollowOptions,
): AsyncGenerator<TaskEvent> {
  let shown: TaskStatus | null = null;
  let output: ReturnType<Outputs["get"]> = null;
  let sent = "";
  const { value: first } = await read();
  using _elsewhere = isEnded(first.status) ? null : (relay?.follow(id, () => outputs.mirror(id)) ?? null);
  for (;;) {
    using next = outputs.next(id);
    const running = outputs.get(id);
    if (running === null || running !== output) {
      const task = await read();
      const { status, result } = task.value;
      if (status !== shown) yield { type: "status", task };
      shown = status;
      if (isEnded(status)) {
        yield* remaining(sent, result?.text ?? sent);
        yield { type: "end", task };
        return;
      }
      if (running !== null && sent !== "") yield { type: "restart" };
      if (running !== null) sent = "";
      output = running;
    }
    const text = output?.text.slice(sent.length) ?? "";
    if (text !== "") {
      sent += text;
      yield { type: "text", text };
      continue;
    }
    if (isClosed())
      throw new AssistantError(
        "shutting_down",
        "The daemon is shutting down; the task continues when it is started again.",
      );
    const idle = Promise.withResolvers<"idle">();
    using _timer = clock.after(IDLE_MS, () => idle.resolve("idle"));
    if ((await Promise.race([next.changed, idle.promise])) === "idle") yield { type: "idle" };
  }
}

/** The part of a text that a reader lacks; the whole text if it has a different one. */
function* remaining(sent: string, whole: string): Generator<TaskEvent> {
  if (!whole.startsWith(sent)) yield { type: "restart" };
  const text = whole.startsWith(sent) ? whole.slice(sent.length) : whole;
  if (text !== "") yield { type: "text", text };
}
