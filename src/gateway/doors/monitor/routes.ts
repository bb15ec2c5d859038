import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { ControlPort } from "../../ports.ts";

/** The version that every Prometheus reads. */
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

export const monitorDoor = (control: Pick<ControlPort, "metrics">): Door => ({
  ...bearerDoor,
  name: "monitor",
  scope: "metrics",
  register(app) {
    app.get("/metrics", async ({ query }, reply) => {
      const engines = (query as { readonly engine?: string }).engine === "1";
      return await reply.type(TEXT_FORMAT).send(await control.metrics({ engines }));
    });
  },
});
