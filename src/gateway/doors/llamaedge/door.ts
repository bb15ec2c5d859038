import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { ServersPort } from "../../ports.ts";
import { type ChunkRoutesOptions, registerChunkRoutes } from "./chunks.ts";
import { registerServerRoutes } from "./servers.ts";

export interface LlamaEdgeOptions extends ChunkRoutesOptions {
  /** Null: servers cannot be registered. */
  readonly servers: ServersPort | null;
}

/** The routes of LlamaEdge's servers in addition to OpenAI's API. */
export const llamaEdgeDoor = ({ servers, ...options }: LlamaEdgeOptions): Door => ({
  ...bearerDoor,
  name: "llamaedge",
  register(app) {
    app.get(
      "/echo",
      { config: { scope: null, describe: { summary: "Check that the server responds" } } },
      async (_, reply) => reply.type("text/plain; charset=utf-8").send("echo test"),
    );
    registerChunkRoutes(app, options);
    if (servers !== null) registerServerRoutes(app, servers);
  },
});
