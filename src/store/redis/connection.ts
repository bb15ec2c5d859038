import { randomUUID } from "node:crypto";
import type { Redis, RedisOptions } from "ioredis";
import { AssistantError } from "../../core/errors.ts";
import { reconnecting } from "./retry.ts";
import type { Script } from "./scripts.ts";

/** Before all keys of ours. */
export const KEY_PREFIX = "assistant:";

/** A call that meets a lost connection waits as long for it to come back. */
const WAIT_MS = 2_000;
/** Timeouts of the first connection: if it is required, and if the caller continues without it. */
const REQUIRED_MS = 10_000;
const START_MS = 3_000;
const COMMAND_MS = 15_000;
/** What the client library rejects with after that. */
const TIMED_OUT = "Command timed out";
/** A server that leaves a command unanswered for so long is connected to again. BullMQ's take up to 10 s. */
const SILENCE_MS = 20_000;
const CONNECT_MS = 5_000;
const RETRY_AFTER_S = 5;
const MIN_MAJOR = 7;

export interface RedisConnectionOptions {
  /** `redis://` or `rediss://`. Its password is never shown. */
  readonly url: string;
  /** Called with a sentence for people when the connection is lost, and when it is back. */
  readonly report: (event: string) => void;
  /** Done once, before any other command. If it rejects, so do all commands. */
  readonly prepare: (server: RedisCommands) => Promise<void>;
  /** False: a server that cannot be reached now is no failure; it is used once it is there. */
  readonly isRequired: boolean;
}

/** Sends single commands. */
export interface RedisCommands {
  /** The URL without its password. */
  readonly location: string;
  /** Rejects with `store_unavailable`. */
  command(name: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown>;
}

/**
 * One connection to Redis or Valkey, and one for subscriptions once there are any. They reconnect automatically. No
 * command is sent twice: if the connection is lost during a command, its caller learns that the outcome is unknown.
 */
export class RedisConnection implements RedisCommands {
  /** Of this process, among those on the same Redis. */
  readonly id: string = randomUUID();
  /** The URL without its password. */
  readonly location: string;
  readonly #options: RedisConnectionOptions;
  readonly #redis: Redis;
  readonly #listeners = new Map<string, Set<(message: string | null) => void>>();
  #subscriber: Redis | null = null;
  #lastError: Error | null = null;
  #state: "new" | "up" | "lost" = "new";
  /** Monotonic milliseconds. */
  #lostAt = performance.now();
  #prepared: Promise<void> | null = null;
  #isClosed = false;

  private constructor(options: RedisConnectionOptions, redis: Redis) {
    this.#options = options;
    this.#redis = redis;
    const url = new URL(options.url);
    url.username = "";
    url.password = "";
    this.location = url.href;
    redis.on("error", (error: Error) => {
      this.#lastError = error;
    });
    redis.on("close", () => {
      if (this.#state !== "up" || this.#isClosed) return;
      this.#state = "lost";
      this.#lostAt = performance.now();
      options.report(`The connection to ${this.location} is lost. Requests that need it fail until it is restored.`);
    });
    redis.on("ready", () => {
      this.#lastError = null;
      if (this.#state === "lost") options.report(`The connection to ${this.location} is back.`);
      this.#state = "up";
    });
  }

  /**
   * Resolves when it can be used, or where it need not be had, after 3 s. Rejects with `store_unavailable` where it is
   * required and cannot be had within 10 s, where the server refuses its user, or is older than Redis 7.
   */
  static async open(options: RedisConnectionOptions): Promise<RedisConnection> {
    const { Redis } = await import("./client.ts");
    const redis = new Redis(options.url, {
      connectionName: "assistant",
      connectTimeout: CONNECT_MS,
      commandTimeout: COMMAND_MS,
      socketTimeout: SILENCE_MS,
      // A command that was sent must not be sent again: it may have been done.
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: reconnecting(),
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
    });
    const connection = new RedisConnection(options, redis);
    try {
      await connection.#ready(options.isRequired ? REQUIRED_MS : START_MS);
    } catch (error) {
      if (options.isRequired || !maySucceedLater(error)) {
        await connection.close();
        throw error;
      }
      connection.#state = "lost";
      options.report(`${(error as Error).message} Requests that need it fail until then.`);
    }
    return connection;
  }

  /** Whether commands can be sent now. */
  get isUp(): boolean {
    return this.#redis.status === "ready";
  }

  /** What is wrong now, one sentence for people; null: nothing. */
  get problem(): string | null {
    return this.isUp || this.#isClosed ? null : `${this.location} cannot be reached${this.#why()}.`;
  }

  /** Runs a script with `KEY_PREFIX` as its one key. Rejects with `store_unavailable`. */
  async run(script: Script, args: readonly (string | number)[]): Promise<unknown> {
    const redis = await this.#ready(WAIT_MS);
    const rest = [1, KEY_PREFIX, ...args];
    try {
      return await redis.call("EVALSHA", [script.sha, ...rest]);
    } catch (error) {
      if (!(error as Error).message.startsWith("NOSCRIPT")) throw this.#failure(error);
    }
    return await this.command("EVAL", script.lua, ...rest);
  }

  /** Rejects with `store_unavailable`. */
  command(name: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    return this.use((redis) => redis.call(name, [...args]));
  }

  /** The same where the answer is bytes. */
  bytes(name: string, ...args: readonly (string | number | Buffer)[]): Promise<unknown> {
    return this.use((redis) => redis.callBuffer(name, [...args]));
  }

  /** Calls back with the client once it can be used. Rejects with `store_unavailable` instead of its errors. */
  async use<Answer>(call: (redis: Redis) => Promise<Answer>): Promise<Answer> {
    const redis = await this.#ready(WAIT_MS);
    try {
      return await call(redis);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Another connection to the same server, which the caller closes. */
  duplicate(options: Partial<RedisOptions>): Redis {
    const client = this.#redis.duplicate({ commandTimeout: undefined, ...options });
    // The first connection reports the same.
    client.on("error", () => {});
    return client;
  }

  /** Channels are not divided by database as keys are. */
  channel(name: string): string {
    return `${KEY_PREFIX}${this.#redis.options.db ?? 0}:${name}`;
  }

  /** Resolves with how many have got it. Rejects with `store_unavailable`. */
  async publish(channel: string, message: string): Promise<number> {
    return Number(await this.command("PUBLISH", channel, message));
  }

  /** Calls back with what comes on a channel, and with null after messages may have been missed. */
  subscribe(channel: string, listener: (message: string | null) => void): Disposable {
    const known = this.#listeners.get(channel);
    const listeners = known ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    const subscriber = this.#subscription();
    if (known === undefined && subscriber.status === "ready") this.#hear(subscriber, [channel]);
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
        this.#listeners.delete(channel);
        if (subscriber.status === "ready") void subscriber.unsubscribe(channel).catch(() => {});
      },
    };
  }

  /** The client itself, for libraries with their own commands. It is owned by the connection. */
  get client(): Redis {
    return this.#redis;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#subscriber?.disconnect();
    // Pending commands are completed first.
    if (this.isUp) await this.#redis.quit().catch(() => {});
    this.#redis.disconnect();
  }

  #subscription(): Redis {
    if (this.#subscriber !== null) return this.#subscriber;
    const subscriber = this.duplicate({ autoResubscribe: false, connectionName: "assistant-events" });
    subscriber.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) {
        try {
          listener(message);
        } catch {
          // Another program or another version sent it: it counts as one that was missed.
          listener(null);
        }
      }
    });
    subscriber.on("ready", () => {
      if (this.#listeners.size > 0) this.#hear(subscriber, [...this.#listeners.keys()]);
    });
    this.#subscriber = subscriber;
    return subscriber;
  }

  /** What came on the channels before they are subscribed to was missed. */
  #hear(subscriber: Redis, channels: readonly string[]): void {
    const missed = (): void => {
      for (const channel of channels) for (const listener of this.#listeners.get(channel) ?? []) listener(null);
    };
    // Listeners read the store over the other connection.
    const whenBoth = (): void => void (this.isUp ? missed() : this.#redis.once("ready", missed));
    subscriber.subscribe(...channels).then(whenBoth, () => {});
  }

  async #ready(waitMs: number): Promise<Redis> {
    const redis = await this.#connected(waitMs);
    this.#prepared ??= this.#prepare(redis).catch((error: unknown) => {
      this.#prepared = null;
      throw error;
    });
    await this.#prepared;
    return redis;
  }

  async #prepare(redis: Redis): Promise<void> {
    const { location } = this;
    const command: RedisCommands["command"] = (name, ...args) =>
      redis.call(name, [...args]).catch((error: unknown) => {
        throw this.#failure(error);
      });
    const server = { location, command };
    await requireVersion(server);
    await this.#options.prepare(server);
  }

  /** Calls long after the connection was lost do not wait for it. */
  async #connected(patienceMs: number): Promise<Redis> {
    const redis = this.#redis;
    if (redis.status === "ready") return redis;
    const waitMs = Math.max(0, this.#lostAt + patienceMs - performance.now());
    if (this.#isClosed)
      throw new AssistantError("store_unavailable", `The store ${this.location} is closed: the daemon is stopping.`);
    const { promise, resolve, reject } = Promise.withResolvers<Redis>();
    const ready = (): void => resolve(redis);
    const refused = (error: Error): void => {
      if (REFUSED.test(error.message)) reject(this.#failure(error));
    };
    redis.once("ready", ready);
    redis.on("error", refused);
    const timer = setTimeout(() => reject(this.#unreachable()), waitMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      redis.off("ready", ready);
      redis.off("error", refused);
    }
  }

  #why(): string {
    return this.#lastError === null ? "" : ` (${this.#lastError.message})`;
  }

  #unreachable(): AssistantError {
    return new AssistantError("store_unavailable", `The store ${this.location} cannot be reached${this.#why()}.`, {
      remedy: "Check that Redis is running and that `[cluster] url` is correct; the daemon reconnects automatically.",
      retryAfterS: RETRY_AFTER_S,
      cause: this.#lastError,
    });
  }

  #failure(error: unknown): unknown {
    const { message } = error as Error;
    // A server that no longer responds counts as lost, so that not every call waits so long for it.
    if (message === TIMED_OUT) this.#redis.disconnect(true);
    const kind = /^[A-Z]+/.exec(message)?.[0] ?? "";
    const remedy = REMEDIES[kind];
    if (remedy !== undefined)
      return new AssistantError("store_unavailable", `The store ${this.location} refuses: ${message}.`, {
        remedy,
        retryAfterS: RETRY_AFTER_S,
        cause: error,
      });
    if (kind === "ERR" || kind === "WRONGTYPE") return error;
    return new AssistantError(
      "store_unavailable",
      `The store ${this.location} did not respond, so it is unknown whether the change was made: ${message}.`,
      { remedy: "Check the current state, then try again.", retryAfterS: RETRY_AFTER_S, cause: error },
    );
  }
}

async function requireVersion({ location, command }: RedisCommands): Promise<void> {
  const info = String(await command("INFO", "server"));
  const version = /^redis_version:(\S+)/m.exec(info)?.[1] ?? "";
  if (Number.parseInt(version, 10) >= MIN_MAJOR) return;
  throw new AssistantError(
    "store_unavailable",
    `Expected Redis or Valkey ${MIN_MAJOR} or newer at ${location}; found version ${version || "unknown"}.`,
    { remedy: "Update the server, or point `[cluster] url` to another one." },
  );
}

/** Errors of Redis that waiting does not fix. */
const REFUSED = /^(WRONGPASS|NOAUTH|NOPERM)/;

const maySucceedLater = (error: unknown): boolean =>
  error instanceof AssistantError &&
  error.retryAfterS !== null &&
  !(error.cause instanceof Error && REFUSED.test(error.cause.message));

/** By the first word of Redis' error. */
const REMEDIES: Readonly<Record<string, string>> = {
  OOM: "Give Redis more memory (`maxmemory`).",
  MISCONF: "Redis cannot write to its disk: free some space, or check its log.",
  READONLY: "Let `[cluster] url` name the primary server.",
  LOADING: "Redis is reading its data: try again.",
  BUSY: "Redis is busy with a script of another program: try again.",
  NOAUTH: "Put the password into `[cluster] url`.",
  WRONGPASS: "Correct the password in `[cluster] url`.",
  NOPERM: "Let the user of `[cluster] url` use all commands on keys and channels that begin with `assistant:`.",
};
