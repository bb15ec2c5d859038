import type { FastifyInstance } from "fastify";
import type { OllamaOptions } from "./ports.ts";

/** The release of Ollama whose API this is: clients ask for a lowest one. */
const API_VERSION = "0.17.4";

export function registerMemoryRoutes(app: FastifyInstance, _: OllamaOptions): void {
  app.get("/api/version", async () => ({ version: API_VERSION }));
}
