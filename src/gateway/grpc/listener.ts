import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import type { ConnectionInjector, Server } from "@grpc/grpc-js";
import { type AssistantHandlers, type InfoResponse, loadAssistantService } from "../../api/assistant-service.ts";
import { loadInferenceService } from "../../api/inference-service.ts";
import type { ListenAddress } from "../../core/config.ts";
import type { ForwardOptions } from "./forward.ts";
import { makeHandlers } from "./handlers.ts";
import { boundedService, makeInferenceHandlers } from "./inference-handlers.ts";
import { makeModelHandlers, type Shelf } from "./model-handlers.ts";

export interface GrpcOptions extends ForwardOptions {
  readonly info: () => InfoResponse;
  /** Weights that other machines may take over. */
  readonly shelf: Shelf;
  /** Further connections are closed at once. */
  readonly maxConnections: number;
}

/** A message has headers and framing besides the body. */
const MESSAGE_ROOM_BYTES = 1024 * 1024;
/** For calls that still run when all requests behind them have ended. */
const CLOSE_GRACE_MS = 1_000;

interface Loaded {
  readonly server: Server;
  readonly injector: ConnectionInjector;
}

/**
 * The address of `assistant.AssistantService`, `assistant.ModelService` and `inference.GRPCInferenceService`. The port
 * is bound like any other; the gRPC library, which takes longer to load than the rest of the daemon and 30 MB of
 * memory, comes with the first connection.
 */
export class GrpcListener {
  readonly #options: GrpcOptions;
  readonly #listener: NetServer;
  readonly #early = new Set<Socket>();
  #loaded: Promise<Loaded> | null = null;

  constructor(options: GrpcOptions) {
    this.#options = options;
    this.#listener = createServer({ noDelay: true }, (socket) => void this.#connected(socket));
    this.#listener.maxConnections = options.maxConnections;
  }

  /** Binds, and returns the address in use (`host:port`). Rejects with the system's error. */
  listen(address: ListenAddress): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#listener.once("error", reject);
    this.#listener.listen({ host: address.host, port: address.port }, () => {
      this.#listener.off("error", reject);
      const { port } = this.#listener.address() as AddressInfo;
      resolve(`${address.host.includes(":") ? `[${address.host}]` : address.host}:${port}`);
    });
    return promise;
  }

  /** Takes nothing new; calls that run may end, with `now` they do not. */
  async close({ now }: { readonly now: boolean }): Promise<void> {
    if (this.#listener.listening) this.#listener.close();
    for (const socket of this.#early) socket.destroy();
    const loaded = await this.#loaded?.catch(() => null);
    if (loaded) {
      if (!now) await ended(loaded.server);
      loaded.server.forceShutdown();
    }
  }

  async #connected(socket: Socket): Promise<void> {
    this.#early.add(socket);
    const forget = (): void => void this.#early.delete(socket);
    socket.once("close", forget);
    socket.on("error", () => socket.destroy());
    try {
      this.#loaded ??= this.#load();
      const { injector } = await this.#loaded;
      forget();
      if (!socket.destroyed) injector.injectConnection(socket);
    } catch (error) {
      this.#options.log.error({ err: error }, "gRPC cannot be served");
      this.#loaded = null;
      socket.destroy();
    }
  }

  async #load(): Promise<Loaded> {
    const [{ grpc, definition, service, modelService }, inference, { ReflectionService }] = await Promise.all([
      loadAssistantService(),
      loadInferenceService(),
      import("@grpc/reflection"),
    ]);
    const { settings, authorizer, shelf, log } = this.#options;
    const server = new grpc.Server({
      "grpc.max_receive_message_length": settings().bodyLimitBytes + MESSAGE_ROOM_BYTES,
      "grpc.max_send_message_length": -1,
    });
    const handlers: AssistantHandlers = makeHandlers({ grpc, ...this.#options });
    server.addService(service, { ...handlers });
    server.addService(modelService, { ...makeModelHandlers({ grpc, shelf, authorizer, log }) });
    server.addService(boundedService(inference.service), { ...makeInferenceHandlers({ grpc, ...this.#options }) });
    new ReflectionService({ ...definition, ...inference.definition }).addToServer(server);
    return { server, injector: server.createConnectionInjector(grpc.ServerCredentials.createInsecure()) };
  }
}

function ended(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
