import { createHmac } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually, isRunning } from "../support/assistant.ts";
import { type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";
import { seededRandom } from "../support/random.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startReceiver, type WebhookReceiver } from "../support/webhook-receiver.ts";

/**
 * Engine, daemon and Redis are killed at random moments while tasks come in. By default few, for every run of the
 * tests:
 *
 *   ASSISTANT_CHAOS_TASKS=2000 ASSISTANT_CHAOS_KILLS=30 vitest run --project integration test/integration/tasks-chaos.test.ts
 */
const TASKS = Number(process.env["ASSISTANT_CHAOS_TASKS"] ?? 200);
const KILLS = Number(process.env["ASSISTANT_CHAOS_KILLS"] ?? 3);
/** One of each kind: the same engine that dies twice is started again after ten seconds, and later each time. */
const FEW = 3;
const SEED = Number(process.env["ASSISTANT_CHAOS_SEED"] ?? 1);
const SENDERS = 8;
const SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const MAX_MS = TASKS <= 200 ? 100_000 : 1_800_000;

interface Report {
  readonly status: string;
  readonly attempts: number;
  readonly logs: readonly { readonly message: string }[];
}

/** A daemon that is killed and started again. */
class Victim {
  readonly assistant: FakeInstallation;
  readonly redis: TestRedis | null;
  readonly killed: Record<string, number> = { engine: 0, daemon: 0, Redis: 0 };
  #url: Promise<string>;

  constructor(assistant: FakeInstallation, redis: TestRedis | null) {
    this.assistant = assistant;
    this.redis = redis;
    this.#url = assistant.serve();
  }

  get started(): Promise<string> {
    return this.#url;
  }

  async call(method: string, path: string, body?: object): Promise<{ readonly status: number; readonly text: string }> {
    const answer = await fetch(`${await this.#url}/api/v1/tasks${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    return { status: answer.status, text: await answer.text() };
  }

  async kill(what: string): Promise<void> {
    this.killed[what] = (this.killed[what] ?? 0) + 1;
    if (what === "Redis") {
      await this.redis?.kill();
      await delay(500);
      await this.redis?.start();
      return;
    }
    if (what === "engine") {
      // After one that dies while it loads the daemon waits for ten seconds: of few kills none is to be such a wait.
      if (KILLS <= FEW) await this.assistant.ready("river");
      for (const pid of await this.assistant.livingEngines()) process.kill(pid, "SIGKILL");
      return;
    }
    const { pid } = await this.assistant.state();
    process.kill(pid, "SIGKILL");
    this.#url = eventually("the daemon is gone", async () => !(await isRunning(pid))).then(() =>
      this.assistant.serve(),
    );
    await this.#url;
  }
}

/** Sends the task until it is acknowledged. Resolves with its id. */
async function accepted(victim: Victim, receiver: WebhookReceiver, number: number): Promise<string> {
  const body = {
    model: "river",
    prompt: `${fake({ decodeDelayMs: 5 })} ${number}`,
    max_tokens: 4,
    max_attempts: 100,
    priority: number % 3,
    webhook_url: `${receiver.url}/${number}`,
    idempotency_key: String(number),
  };
  return await eventually(
    `task ${number} is accepted`,
    async () => {
      const { status, text } = await victim.call("POST", "", body).catch(() => ({ status: 0, text: "" }));
      if (status === 201 || status === 200) return (JSON.parse(text) as { task_id: string }).task_id;
      if (status !== 0 && status !== 503) throw new Error(`expected 201 or 503, got ${status}: ${text}`);
      await delay(50);
      return undefined;
    },
    MAX_MS,
  );
}

function isSigned({ headers, body }: WebhookReceiver["received"][number]): boolean {
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64");
  return headers["webhook-signature"] === `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
}

test.concurrent.each(["SQLite", "Redis"])(
  "with the records in %s, every acknowledged task ends once and is reported by a webhook, whatever is killed",
  { timeout: MAX_MS + 20_000 },
  async (kind) => {
    await using receiver = await startReceiver();
    const redis = kind === "Redis" ? await startRedis() : null;
    await using assistant = await installFakes({
      config: `[tasks]\nconcurrency = 8\nmax_pending = 100000\nwebhook_allow_private = true\nwebhook_retries = 20\nwebhook_timeout_s = 3\nwebhook_secret_env = "HOOK_SECRET"\n${redis === null ? "" : '[cluster]\nurl_env = "REDIS_URL"\nlost_after_s = 3\n'}`,
      env: { HOOK_SECRET: SECRET, REDIS_URL: redis?.url ?? "" },
      models: { river: { slots: 8, toml: "preload = true" } },
    });
    try {
      const victim = new Victim(assistant, redis);
      await victim.started;
      const startedAt = performance.now();
      const ids = new Set<string>();
      let next = 0;
      const sending = Array.from({ length: SENDERS }, async () => {
        while (next < TASKS) ids.add(await accepted(victim, receiver, next++));
      });
      const random = seededRandom(SEED);
      const kinds = ["daemon", "engine", ...(redis === null ? [] : ["Redis"])];
      for (let kill = 0; kill < KILLS; kill++) {
        // When so many tasks were taken, and a moment later.
        const share = ((kill + 0.5) / KILLS) * TASKS;
        await eventually("tasks were taken", () => ids.size >= share * 0.9, MAX_MS);
        await delay(random() * (KILLS > FEW ? 2_000 : 100));
        const next = KILLS > FEW && kill >= kinds.length ? Math.floor(random() * kinds.length) : kill % kinds.length;
        await victim.kill(kinds[next] ?? "engine");
      }
      await Promise.all(sending);
      const reported = (): Set<string> =>
        new Set(receiver.received.map(({ headers }) => String(headers["webhook-id"])));
      await eventually("all are reported", () => reported().size >= ids.size, MAX_MS).catch(async (error: unknown) => {
        const missing = [...ids].filter((id) => !reported().has(id));
        const reports = missing.slice(0, 3).map(async (id) => (await victim.call("GET", `/${id}/report`)).text);
        throw new Error(`${missing.length} are not: ${await Promise.all(reports)}\n${await assistant.daemonLog()}`, {
          cause: error,
        });
      });
      expect(reported()).toEqual(ids);
      const seconds = (performance.now() - startedAt) / 1_000;

      const bodies = new Map<string, Set<string>>();
      for (const webhook of receiver.received) {
        expect(isSigned(webhook)).toBe(true);
        const id = String(webhook.headers["webhook-id"]);
        bodies.set(id, (bodies.get(id) ?? new Set()).add(webhook.body));
      }
      let taken = 0;
      for (const id of ids) {
        const report = JSON.parse((await victim.call("GET", `/${id}/report`)).text) as Report;
        const ends = report.logs.filter(({ message }) => /^(completed|failed|cancelled)/.test(message));
        expect([report.status, ends.length, bodies.get(id)?.size], JSON.stringify(report)).toEqual(["completed", 1, 1]);
        taken += report.logs.filter(({ message }) => message.startsWith("the daemon stopped in the meantime")).length;
      }
      expect(ids.size).toBe(TASKS);
      process.stdout.write(
        `${kind}: ${ids.size} tasks in ${seconds.toFixed(1)} s, killed ${JSON.stringify(victim.killed)}, taken up again ${taken}, webhooks ${receiver.received.length}\n`,
      );
    } finally {
      await redis?.[Symbol.asyncDispose]();
    }
  },
);
