import { eventually } from "../../test/support/assistant.ts";
import type { Client } from "./clients.ts";

/** A model that clients are tried against. */
export interface Target {
  readonly name: string;
  readonly url: string;
  readonly model: string;
  readonly key: string;
  /** A key of its own with one request at once. */
  readonly narrowKey: string;
  /** Requests that are being served now. */
  inFlight(): Promise<number>;
  /** Before each scenario. */
  prepare(scenario: Scenario): void;
}

export const scenarios = ["plain", "stream", "tools", "schema", "image", "abort", "error", "retry"] as const;
export type Scenario = (typeof scenarios)[number];

/** One white pixel. */
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
const PATIENCE_MS = 60_000;

/**
 * Runs one scenario. Returns what is seen: "yes", "refused (400)", or "–" for what the client does not have. Rejects
 * with what is wrong.
 */
export async function tryOut(scenario: Scenario, client: Client, target: Target): Promise<string> {
  target.prepare(scenario);
  const base = { url: target.url, key: target.key, model: target.model, text: "Say hello." };
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(what);
  };
  switch (scenario) {
    case "plain": {
      const { text } = await client.ask(base);
      must(text !== "", "the answer is empty");
      return "yes";
    }
    case "stream": {
      let pieces = 0;
      const { text } = await client.ask({ ...base, streamed: true, onPiece: () => void pieces++ });
      must(text !== "" && pieces > 1, `${pieces} pieces`);
      return "yes";
    }
    case "tools":
      return await orRefused(async () => {
        const { call } = await client.ask({ ...base, text: "What is the weather in Paris?", tool: true });
        must(call?.name === "get_weather", `it calls ${JSON.stringify(call)}`);
        must(isCity(call?.arguments), `the arguments are ${JSON.stringify(call?.arguments)}`);
      });
    case "schema": {
      if (!client.hasSchema) return "–";
      const { text } = await client.ask({ ...base, text: "Name the capital of France as JSON.", schema: true });
      must(isCity(JSON.parse(text)), `the answer is ${text}`);
      return "yes";
    }
    case "image":
      return await orRefused(async () => {
        const { text } = await client.ask({ ...base, text: "What is this?", image: PIXEL });
        must(text !== "", "the answer is empty");
      });
    case "abort": {
      const abort = new AbortController();
      const asked = { ...base, text: "Write a long story.", streamed: true, onPiece: () => abort.abort() };
      // Some clients end the stream, others reject.
      await client.ask({ ...asked, signal: abort.signal }).catch(() => {});
      must(abort.signal.aborted, "nothing came that could be aborted");
      await eventually("the slot is free", async () => (await target.inFlight()) === 0, PATIENCE_MS);
      return "yes";
    }
    case "error": {
      const status = await client.ask({ ...base, model: "nowhere" }).then(() => 200, statusOf);
      must(status === 404, `the status is ${status}`);
      return "404";
    }
    case "retry": {
      const narrow = { ...base, key: target.narrowKey };
      const both = await Promise.allSettled([client.ask(narrow), client.ask(narrow)]);
      const refused = both.flatMap((each) => (each.status === "rejected" ? [statusOf(each.reason)] : []));
      must(
        refused.every((status) => status === 429),
        `statuses ${refused.join(", ")}`,
      );
      if (!client.retries) return refused.length === 0 ? "yes" : "429";
      must(refused.length === 0, "it does not come back after a 429");
      return "yes";
    }
  }
}

async function orRefused(run: () => Promise<void>): Promise<string> {
  try {
    await run();
    return "yes";
  } catch (error) {
    if (statusOf(error) === 400) return "refused (400)";
    throw error;
  }
}

const isCity = (value: unknown): boolean =>
  typeof value === "object" && value !== null && typeof (value as { readonly city?: unknown }).city === "string";

/** Every client has another name for it. */
export function statusOf(error: unknown): number | null {
  const { status, status_code, statusCode, lastError } = error as Record<string, unknown>;
  const found = status ?? status_code ?? statusCode;
  if (typeof found === "number") return found;
  return lastError === undefined ? null : statusOf(lastError);
}
