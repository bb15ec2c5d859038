import { createServer } from "node:net";
import { AssistantError } from "../core/errors.ts";

const MAX_TRIES = 50;

/**
 * Loopback ports for engines that need one. No two instances get the same while either is up. Another program may still
 * take a port before the engine does: `listenerOf` tells.
 */
export class LoopbackPorts {
  readonly #taken = new Set<number>();

  /** A port on which nothing listens; it is the caller's until it gives it back. */
  async take(): Promise<number> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const port = await freePort();
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      return port;
    }
    throw new AssistantError("engine_unavailable", "No free port was found on 127.0.0.1 for the engine.", {
      remedy: "Check which programs listen on so many ports; the start is retried.",
    });
  }

  giveBack(port: number): void {
    this.#taken.delete(port);
  }
}

/** As the system chooses it. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
