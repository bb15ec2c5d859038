import type { FastifyInstance } from "fastify";
import type { OllamaOptions } from "./ports.ts";

/** The release of Ollama whose API this is: clients ask for a lowest one. */
const API_VERSION = "0.17.4";
/** Clients look whether a server is there, and some whether it is Ollama. */
const GREETING = "Ollama is running";
const open = { config: { scope: null } } as const;

export function registerMemoryRoutes(app: FastifyInstance, _: OllamaOptions): void {
  app.get("/", open, async (__, reply) => await reply.type("text/plain; charset=utf-8").send(GREETING));
  app.get("/api/version", open, async () => ({ version: API_VERSION }));
}
