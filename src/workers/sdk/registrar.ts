import { setTimeout as sleep } from "node:timers/promises";
import type { WorkerLog } from "./log.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { WorkerSettings } from "./settings.ts";

const REQUEST_TIMEOUT_MS = 5_000;
const FIRST_PAUSE_MS = 1_000;
const DUPLICATE = /duplicated worker endpoint/i;

export interface RegistrarOptions {
  readonly settings: WorkerSettings;
  /** What is registered. */
  readonly endpoint: string;
  readonly metrics: WorkerMetrics;
  readonly log: WorkerLog;
}

/** Keeps a worker registered: uninitialized → trying → registered, or failed. */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #stopped = new AbortController();
  #registered = false;
  #beat: NodeJS.Timeout | null = null;
  #beating: Promise<void> = Promise.resolve();

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Tries, and tries again after 1, 2, 4, … s. False: it could not. */
  async register(): Promise<boolean> {
    const { settings, endpoint, metrics, log } = this.#options;
    metrics.registering(settings.llmName, endpoint);
    metrics.agentState("trying");
    for (let retry = 0; !this.#stopped.signal.aborted; retry++) {
      metrics.attempts.inc();
      const problem = await this.#try();
      if (problem === null) {
        this.#registered = true;
        metrics.agentState("registered");
        log.info(`Registered "${settings.llmName}" at ${endpoint}.`);
        // The end came while it registered.
        if (this.#stopped.signal.aborted) await this.unregister();
        this.#startBeating();
        return true;
      }
      if (retry >= settings.retryCount) {
        log.error(`The daemon at ${settings.agentEndpoint} does not take the registration: ${problem}`);
        break;
      }
      const pauseMs = FIRST_PAUSE_MS * 2 ** retry;
      log.warning(`Registering failed (${problem}); next attempt in ${pauseMs / 1000} s.`);
      await sleep(pauseMs, undefined, { signal: this.#stopped.signal }).catch(() => {});
    }
    if (!this.#stopped.signal.aborted) metrics.agentState("failed");
    return false;
  }

  /** Once, where it was registered. Never rejects: a daemon that is gone must not hold up the end. */
  async unregister(): Promise<void> {
    this.#stopped.abort();
    if (this.#beat !== null) clearInterval(this.#beat);
    if (!this.#registered) return;
    this.#registered = false;
    // It may be registering again.
    await this.#beating;
    const answer = await this.#post("./worker/unregister");
    if (typeof answer === "string") this.#options.log.warning(`Unregistering failed: ${answer}`);
    else await answer.body?.cancel();
  }

  /** What is wrong; null: it is registered. */
  async #try(): Promise<string | null> {
    const answer = await this.#post("./worker/register");
    if (typeof answer === "string") return answer;
    const text = await answer.text().catch(() => "");
    // One that ended without a word, and has started again.
    if (answer.ok || (answer.status === 400 && DUPLICATE.test(text))) return null;
    return `status ${answer.status}: ${text.slice(0, 300)}`;
  }

  /** A daemon that does not know the worker any longer, as after a restart, learns of it again. */
  #startBeating(): void {
    const { heartbeatS } = this.#options.settings;
    if (heartbeatS === 0 || this.#beat !== null || this.#stopped.signal.aborted) return;
    this.#beat = setInterval(() => {
      this.#beating = this.#sendBeat();
    }, heartbeatS * 1000).unref();
  }

  async #sendBeat(): Promise<void> {
    const answer = await this.#post("./worker/heartbeat");
    if (typeof answer === "string") return;
    await answer.body?.cancel();
    if (answer.status === 404 && this.#registered) await this.#try();
  }

  async #post(path: string): Promise<Response | string> {
    const { settings, endpoint } = this.#options;
    try {
      return await fetch(new URL(path, settings.agentEndpoint), {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(settings.apiKey === null ? {} : { authorization: `Bearer ${settings.apiKey}` }),
        },
        body: JSON.stringify({
          name: settings.llmName,
          endpoint,
          ...(settings.slots > 1 ? { slots: settings.slots } : {}),
        }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
    } catch (error) {
      const { message, cause } = error as Error;
      return (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
    }
  }
}
