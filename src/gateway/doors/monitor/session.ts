import { randomBytes } from "node:crypto";
import { envelope, eventTypes, matches, type Viewer } from "../../../monitor/events.ts";
import type { Message, Monitor } from "../../../monitor/monitor.ts";
import type { SocketPeer, SocketSession } from "../../front/door.ts";

/** Maximum backlog of a reader, bytes. Beyond it events are dropped, and counted. */
export const MAX_BEHIND_BYTES = 512 * 1024;
const MAX_PATTERNS = 100;

type Reply = readonly [type: string, fields: object];

/** One client of `/ws/monitor`: its subscriptions, and the events it has missed. */
export class MonitorSession implements SocketSession {
  readonly #monitor: Pick<Monitor, "queue" | "watch">;
  readonly #peer: SocketPeer;
  readonly #watching: Disposable;
  #patterns: ReadonlySet<string> = new Set(["*"]);
  #taskId: string | null = null;
  #dropped = 0;

  constructor(monitor: Pick<Monitor, "queue" | "watch">, peer: SocketPeer, viewer: Viewer) {
    this.#monitor = monitor;
    this.#peer = peer;
    this.#reply("connected", {
      connection_id: `ws_${randomBytes(6).toString("hex")}`,
      message: "Connected to the monitor.",
      available_events: eventTypes,
    });
    this.#watching = monitor.watch(
      viewer,
      (message) => this.#take(message),
      (count) => this.#lost(count),
    );
  }

  message(text: string): void {
    this.#reply(...this.#answerTo(text));
  }

  drained(): void {
    this.#tellDropped();
  }

  closed(): void {
    this.#watching[Symbol.dispose]();
  }

  #take({ type, taskId, text }: Message): void {
    if (this.#taskId !== null && taskId !== null && taskId !== this.#taskId) return;
    if (![...this.#patterns].some((pattern) => matches(pattern, type))) return;
    if (this.#peer.bufferedBytes > MAX_BEHIND_BYTES) {
      this.#dropped++;
      return;
    }
    this.#tellDropped();
    this.#peer.send(text);
  }

  /** Of events of other daemons. */
  #lost(count: number | null): void {
    if (count === null) this.#reply("dropped", { data: { count } });
    else this.#dropped += count;
    this.#tellDropped();
  }

  #tellDropped(): void {
    if (this.#dropped === 0 || this.#peer.bufferedBytes > MAX_BEHIND_BYTES) return;
    this.#reply("dropped", { data: { count: this.#dropped } });
    this.#dropped = 0;
  }

  #answerTo(text: string): Reply {
    const request = objectOf(text);
    if (request === null) return failure('The message must be a JSON object such as {"type": "ping"}.');
    const { type } = request;
    switch (type) {
      case "ping":
        return ["pong", {}];
      case "get_queue_stats":
        return ["queue_stats", { data: this.#monitor.queue() }];
      case "subscribe":
      case "unsubscribe":
        return this.#subscribe(type, request["events"]);
      case "filter_task":
        return this.#filter(request["task_id"]);
      default:
        return failure(
          `type: expected subscribe, unsubscribe, filter_task, ping or get_queue_stats, found ${shown(type)}.`,
        );
    }
  }

  #subscribe(type: "subscribe" | "unsubscribe", events: unknown): Reply {
    if (!Array.isArray(events) || events.length > MAX_PATTERNS)
      return failure(`events: expected a list of at most ${MAX_PATTERNS} events, found ${shown(events)}.`);
    const unknown = events.findIndex((each) => typeof each !== "string" || !isEvent(each));
    if (unknown >= 0)
      return failure(
        `events[${unknown}]: expected *, PREFIX.*, or one of ${eventTypes.join(", ")}, found ${shown(events[unknown])}.`,
      );
    this.#patterns = new Set(
      type === "subscribe" ? events : [...this.#patterns].filter((pattern) => !events.includes(pattern)),
    );
    return [`${type}d`, { events }];
  }

  #filter(taskId: unknown): Reply {
    if (taskId !== null && typeof taskId !== "string")
      return failure(`task_id: expected the id of a task, or null for all, found ${shown(taskId)}.`);
    this.#taskId = taskId;
    return ["filter_set", { task_id: taskId }];
  }

  #reply(type: string, fields: object): void {
    this.#peer.send(envelope(type, Date.now(), fields));
  }
}

const failure = (message: string): Reply => ["error", { message }];

const isEvent = (pattern: string): boolean => eventTypes.some((type) => matches(pattern, type));

/** Null if the text is not a JSON object. */
function objectOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 100);
