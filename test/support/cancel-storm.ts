import { connect, type Socket } from "node:net";
import type { FakeInstallation } from "./fake-installation.ts";
import { postBytes } from "./raw-http.ts";

/** How a client of the storm leaves. */
export type Departure = "destroy" | "half-close" | "reset" | "stays";

export interface StormPlan {
  readonly requests: number;
  /** Clients at once. */
  readonly clients: number;
  readonly models: readonly string[];
  /** 0 to 1; seeded where a run has to be repeatable. */
  readonly random: () => number;
}

export interface StormResult {
  readonly departures: Record<Departure, number>;
  /** Clients that stayed and got their answer to the end. */
  readonly answered: number;
  /** What those got instead, by the first line of the answer. */
  readonly failures: Record<string, number>;
}

const KINDS: readonly Departure[] = ["destroy", "half-close", "reset", "stays"];

/**
 * Sends requests and leaves most of them at random moments: before the body is sent, in the queue, while the model
 * loads, in prefill, in decode, at the end. Resolves when every client is gone.
 */
export async function cancelStorm(port: number, plan: StormPlan): Promise<StormResult> {
  const result = {
    departures: { destroy: 0, "half-close": 0, reset: 0, stays: 0 },
    answered: 0,
    failures: {} as Record<string, number>,
  };
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent < plan.requests) {
      sent++;
      const how = pick(plan.random, KINDS);
      result.departures[how]++;
      const text = await oneClient(port, requestOf(plan), how, plan.random);
      if (how !== "stays") continue;
      if (/\r\n0\r\n\r\n$|"object":"chat\.completion"/.test(text) && text.startsWith("HTTP/1.1 200")) result.answered++;
      else {
        const line = text.split("\r\n", 1)[0] || "no answer";
        result.failures[line] = (result.failures[line] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: plan.clients }, client));
  return result;
}

const pick = <Item>(random: () => number, items: readonly Item[]): Item =>
  items[Math.floor(random() * items.length)] as Item;

function requestOf({ models, random }: StormPlan): string {
  const words = Array.from({ length: 1 + Math.floor(random() * 40) }, (_, index) => `w${index}`).join(" ");
  const body = {
    model: pick(random, models),
    messages: [{ role: "user", content: words }],
    stream: random() < 0.5,
    max_tokens: 1 + Math.floor(random() * 12),
  };
  // The connection of a client that stays is closed by the daemon: that ends the wait for the answer.
  return postBytes("/v1/chat/completions", body, { headers: { connection: "close" } });
}

const MAX_STAY_MS = 120;

function oneClient(port: number, request: string, how: Departure, random: () => number): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => (text += part));
    socket.on("error", () => {});
    // Somebody who half-closes stays to read; the daemon has to end the connection.
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(text));
    socket.on("connect", () => {
      // Some leave in the middle of their request.
      const cut = how !== "stays" && random() < 0.1 ? Math.floor(random() * request.length) : request.length;
      socket.write(request.slice(0, cut));
      if (how === "stays") return;
      // Most departures come early, where the phases are short.
      setTimeout(() => leave(socket, how), MAX_STAY_MS * random() ** 2);
    });
  });
}

function leave(socket: Socket, how: Departure): void {
  if (how === "destroy") socket.destroy();
  else if (how === "reset") socket.resetAndDestroy();
  else socket.end();
}

/** What the daemon and its engines say of work that is under way. */
export async function workUnderWay(
  assistant: FakeInstallation,
  models: readonly string[],
): Promise<{ queued: number; inFlight: number; onEngines: number }> {
  const state = await assistant.state();
  const records = await Promise.all(models.map((name) => assistant.record(name)));
  return {
    queued: state.queued,
    inFlight: state.instances.reduce((sum, instance) => sum + instance.inFlight, 0),
    onEngines: records.reduce((sum, record) => sum + record.inFlight, 0),
  };
}
