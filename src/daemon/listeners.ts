import { lstat } from "node:fs/promises";
import type { InfoResponse } from "../api/assistant-service.ts";
import { parseAddress } from "../config/network.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { Config, ListenAddress } from "../core/config.ts";
import { AssistantError, type ErrorCode } from "../core/errors.ts";
import { createGateway, type Gateway, type GatewayOptions } from "../gateway/gateway.ts";
import { endpointsOf } from "../gateway/grpc/forward.ts";
import type { GrpcListener } from "../gateway/grpc/listener.ts";
import type { Shelf } from "../gateway/grpc/model-handlers.ts";
import { MAX_GRPC_CONNECTIONS, maxConnections } from "./descriptors.ts";
import { openGrpc } from "./grpc.ts";
import { secureRunDir } from "./run-dir.ts";

const SOCKET_CHECK_MS = 2_000;

export interface ListenersOptions extends GatewayOptions {
  readonly refused: (code: ErrorCode) => void;
  /** What gRPC's GetInfo answers. `endpoints`: paths that a call may name. */
  readonly info: (endpoints: readonly string[]) => InfoResponse;
  readonly clock: Clock;
  /** Weights that gRPC hands out. */
  readonly shelf: Shelf;
}

/**
 * Every door of the daemon: the OpenAI port, the admin socket, and one port for each model with its own address.
 * Addresses are bound once; changing them takes a restart, which a reload reports.
 */
export class Listeners {
  readonly #options: ListenersOptions;
  #grpc: { readonly listener: GrpcListener | null; readonly address: string | null; readonly problem: string | null } =
    {
      listener: null,
      address: null,
      problem: null,
    };
  readonly #gateways: Gateway[] = [];
  #url: string | null = null;
  #socketCheck: Timer | null = null;
  #closing = false;

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Base URL for OpenAI clients, without `/v1`; null if HTTP is disabled. */
  get url(): string | null {
    return this.#url;
  }

  /** Where gRPC is served (`host:port`), or null. */
  get grpc(): string | null {
    return this.#grpc.address;
  }

  /** Problems of a listener that the daemon runs without, one sentence each. */
  get problems(): string[] {
    return this.#grpc.problem === null ? [] : [this.#grpc.problem];
  }

  /** Rejects with `address_in_use` or `not_writable`; call `close` then. */
  async open(config: Config): Promise<void> {
    const main = await this.#add({});
    if (config.http) this.#url = await main.listen(config.http);
    for (const address of config.moreHttp) await main.listen(address);
    for (const [address, onlyModels] of modelsByAddress(config))
      await (await this.#add({ onlyModels })).listen(
        listenAddress(address),
        `the own port of ${onlyModels.join(", ")}`,
      );
    if (config.pipelinesAddress !== null)
      await (await this.#add({ pipelineRoot: true })).listen(config.pipelinesAddress, "`[pipelines] addr`");
    await this.#openGrpc(main, config);
    // Last, since its socket shows other commands that the daemon is running.
    await main.listen({ path: config.paths.adminSocket });
    this.#keepSocket(main, config.paths);
  }

  /**
   * Programs that tidy up temporary directories delete sockets too; without this one no command would find the daemon.
   */
  #keepSocket(main: Gateway, paths: Config["paths"]): void {
    const { runDir, adminSocket } = paths;
    this.#socketCheck = this.#options.clock.after(SOCKET_CHECK_MS, () => {
      void (async () => {
        try {
          if ((await lstat(adminSocket).catch(missing)) === null && !this.#closing) {
            await secureRunDir(runDir);
            await main.listen({ path: adminSocket });
            this.#options.log.warn({ path: adminSocket }, "the admin socket was deleted, and has been recreated");
          }
        } catch (error) {
          this.#options.log.error({ err: error }, "the admin socket was deleted and cannot be recreated");
        }
        if (!this.#closing) this.#keepSocket(main, paths);
      })();
    });
  }

  /** Takes no new requests and resolves when the running ones have ended. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#socketCheck?.cancel();
    await Promise.all([
      ...this.#gateways.map((gateway) => gateway.close()),
      this.#grpc.listener?.close({ now: false }),
    ]);
  }

  /** Ends running requests now. */
  abort(): void {
    for (const gateway of this.#gateways) void gateway.close({ now: true });
    void this.#grpc.listener?.close({ now: true });
  }

  async #openGrpc({ routes }: Gateway, config: Config): Promise<void> {
    const { inference, authorizer, settings, info, shelf, log, refused, tracer = null } = this.#options;
    const endpoints = endpointsOf(routes);
    this.#grpc = await openGrpc(config, {
      routes,
      inference,
      authorizer,
      settings,
      refused,
      info: () => info(endpoints),
      shelf,
      maxConnections: MAX_GRPC_CONNECTIONS,
      tracer,
      log,
    });
  }

  async #add(extra: Partial<GatewayOptions>): Promise<Gateway> {
    const limit = maxConnections();
    const gateway = await createGateway({
      ...this.#options,
      ...(limit === null ? {} : { maxConnections: limit }),
      ...extra,
    });
    this.#gateways.push(gateway);
    return gateway;
  }
}

function missing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

/** The chat and the embedding model of one server share its address. */
function modelsByAddress(config: Config): Map<string, string[]> {
  const byAddress = new Map<string, string[]>();
  for (const { name, ownAddresses } of config.models) {
    for (const address of ownAddresses) byAddress.set(address, [...(byAddress.get(address) ?? []), name]);
  }
  return byAddress;
}

function listenAddress(text: string): ListenAddress {
  const address = parseAddress(text);
  if (typeof address === "string") throw new AssistantError("config_invalid", address);
  return address;
}
