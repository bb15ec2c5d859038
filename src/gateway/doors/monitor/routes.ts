import type { RouteDescription } from "../../front/describe.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { ControlPort } from "../../ports.ts";

/** The version that every Prometheus reads. */
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

const METRICS: RouteDescription = {
  summary: "Show what is measured, in Prometheus' text format",
  query: { properties: { engine: { enum: ["0", "1"], description: "1: what engines measure of themselves too." } } },
  answers: { "text/plain": { type: "string" } },
};

export const monitorDoor = (control: Pick<ControlPort, "metrics">): Door => ({
  ...bearerDoor,
  name: "monitor",
  scope: "metrics",
  register(app) {
    app.get("/metrics", { config: { describe: METRICS } }, async ({ query }, reply) => {
      const engines = (query as { readonly engine?: string }).engine === "1";
      return await reply.type(TEXT_FORMAT).send(await control.metrics({ engines }));
    });
  },
});
