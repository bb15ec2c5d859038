import { addressText } from "../config/network.ts";
import type { Config } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import { GrpcListener, type GrpcOptions } from "../gateway/grpc/listener.ts";

/**
 * Opens the gRPC address of the configuration. An explicit address must be available (`address_in_use`,
 * `config_invalid`); the default one may be another daemon's, in which case a problem is reported and gRPC is disabled.
 */
export async function openGrpc(
  config: Config,
  options: GrpcOptions,
): Promise<{
  readonly listener: GrpcListener | null;
  readonly address: string | null;
  readonly problem: string | null;
}> {
  const { grpc, grpcChosen } = config;
  if (grpc === null) return { listener: null, address: null, problem: null };
  const listener = new GrpcListener(options);
  try {
    return { listener, address: await listener.listen(grpc), problem: null };
  } catch (error) {
    await listener.close({ now: true });
    const failure = bindError(error as NodeJS.ErrnoException, addressText(grpc));
    if (grpcChosen) throw failure;
    options.log.warn({ error: failure.message }, "gRPC is not served");
    return {
      listener: null,
      address: null,
      problem: `gRPC is not served: ${failure.message} Set another \`[server] grpc_addr\`, or "" for none.`,
    };
  }
}

function bindError(error: NodeJS.ErrnoException, shown: string): AssistantError {
  switch (error.code) {
    case "EADDRINUSE":
      return new AssistantError("address_in_use", `Another program listens on ${shown}.`, {
        remedy: 'Stop it, or choose another address with `[server] grpc_addr`; "" is none.',
        cause: error,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new AssistantError("config_invalid", `${shown} is not an address of this machine.`, {
        remedy: "Correct `[server] grpc_addr`.",
        cause: error,
      });
    default:
      return new AssistantError("not_writable", `Cannot listen on ${shown}: ${error.message}`, { cause: error });
  }
}
