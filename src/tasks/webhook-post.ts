import type { Agent } from "undici";
import { AssistantError } from "../core/errors.ts";
import { isPrivateHost, PRIVATE_ADDRESS, publicLookup } from "../models/pull/addresses.ts";

/** Of a response, which is discarded. */
const MAX_ANSWER_BYTES = 65_536;
const PRIVATE =
  "an address of this machine or of a private network, which webhooks do not reach unless `[tasks] " +
  "webhook_allow_private = true` is written";

export interface Posted {
  /** Null: there was no response. */
  readonly status: number | null;
  /** Null: it was accepted. */
  readonly error: string | null;
}

/** Throws `invalid_request` for a URL that webhooks may not reach. Host names are checked when they are resolved. */
export function checkWebhookUrl(written: string, allowPrivate: boolean): void {
  const url = URL.parse(written);
  const isWeb =
    url !== null && ["http:", "https:"].includes(url.protocol) && url.username === "" && url.password === "";
  const problem = /\p{Cc}/u.test(written)
    ? "expected a URL without control characters"
    : !isWeb
      ? "expected an http or https URL without user and password"
      : !allowPrivate && isPrivateHost(url.hostname)
        ? `${url.hostname} is ${PRIVATE}`
        : null;
  if (problem === null) return;
  throw new AssistantError("invalid_request", `webhook_url: ${problem}.`, { param: "webhook_url" });
}

/** Sends webhooks. Follows no redirect and uses no proxy. */
export class WebhookClient {
  readonly #agents = new Map<boolean, Promise<Agent>>();

  /** Never rejects. */
  async post(
    url: string,
    body: string,
    headers: Record<string, string>,
    { timeoutMs, allowPrivate }: { readonly timeoutMs: number; readonly allowPrivate: boolean },
  ): Promise<Posted> {
    try {
      checkWebhookUrl(url, allowPrivate);
      const { request } = await import("undici");
      const answer = await request(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body,
        dispatcher: await this.#agent(allowPrivate),
        signal: AbortSignal.timeout(timeoutMs),
      });
      await answer.body.dump({ limit: MAX_ANSWER_BYTES }).catch(() => {});
      const isAccepted = answer.statusCode >= 200 && answer.statusCode < 300;
      return { status: answer.statusCode, error: isAccepted ? null : `answered with status ${answer.statusCode}` };
    } catch (error) {
      return { status: null, error: reasonOf(error as NodeJS.ErrnoException, timeoutMs) };
    }
  }

  async close(): Promise<void> {
    for (const agent of this.#agents.values()) await (await agent).destroy();
  }

  #agent(allowPrivate: boolean): Promise<Agent> {
    let agent = this.#agents.get(allowPrivate);
    if (agent === undefined) {
      agent = import("undici").then(
        ({ Agent }) => new Agent({ connect: allowPrivate ? {} : { lookup: publicLookup }, pipelining: 1 }),
      );
      this.#agents.set(allowPrivate, agent);
    }
    return agent;
  }
}

function reasonOf({ code, name, message }: NodeJS.ErrnoException, timeoutMs: number): string {
  if (code === PRIVATE_ADDRESS) return `its name leads to ${PRIVATE}`;
  if (name === "TimeoutError") return `no answer within ${timeoutMs} ms`;
  return message;
}
