import { createServer } from "node:net";
import { AssistantError } from "../core/errors.ts";

const MAX_TRIES = 50;

/**
 * Loopback ports for engines that need one. No two running instances get the same. Another program may still take a
 * port before the engine does, which `listenerOf` detects.
 */
export class LoopbackPorts {
  readonly #taken = new Set<number>();

  /** A port on which nothing listens; reserved for the caller until it is released. */
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

/** As chosen by the system. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port: 0, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
