import { AssistantError } from "../../../core/errors.ts";
import type { Monitor } from "../../../monitor/monitor.ts";
import { ownerOf } from "../../front/authorize.ts";
import type { RouteDescription } from "../../front/describe.ts";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { ControlPort } from "../../ports.ts";
import { MonitorSession } from "./session.ts";

/** The version that every Prometheus supports. */
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";
const SOCKET_PATH = "/ws/monitor";

const METRICS: RouteDescription = {
  summary: "Show metrics in Prometheus' text format",
  query: { properties: { engine: { enum: ["0", "1"], description: "1: include the engines' own metrics." } } },
  answers: { "text/plain": { type: "string" } },
};
const SOCKET: RouteDescription = {
  summary: "Watch events over a WebSocket",
  description: "Opened with an upgrade; any other request is refused.",
  query: {
    properties: { api_key: { type: "string", description: "The API key, for clients that cannot send headers." } },
  },
  status: 101,
  answers: {},
};

/** `monitor` null: no events are available. */
export const monitorDoor = (control: Pick<ControlPort, "metrics">, monitor: Monitor | null): Door => ({
  ...bearerDoor,
  name: "monitor",
  scope: "metrics",
  sockets:
    monitor === null
      ? []
      : [{ path: SOCKET_PATH, open: (peer, identity) => new MonitorSession(monitor, peer, ownerOf(identity)) }],
  register(app) {
    app.get("/metrics", { config: { describe: METRICS } }, async ({ query }, reply) => {
      const engines = (query as { readonly engine?: string }).engine === "1";
      return await reply.type(TEXT_FORMAT).send(await control.metrics({ engines }));
    });
    if (monitor !== null)
      app.get(SOCKET_PATH, { config: { describe: SOCKET } }, async (_, reply) => {
        reply.raw.setHeader("upgrade", "websocket");
        throw new AssistantError("upgrade_required", `${SOCKET_PATH} is a WebSocket.`, {
          remedy: "Open it with a WebSocket client.",
        });
      });
  },
});
