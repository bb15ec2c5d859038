import type { ChannelOptions, Client, ClientReadableStream, Metadata, ServiceDefinition } from "@grpc/grpc-js";
import {
  type AssistantClient,
  type ForwardRequest,
  type ForwardResponse,
  type InfoResponse,
  type LoadedService,
  loadAssistantService,
  SERVICE_NAME,
} from "../../api/assistant-service.ts";
import { addressText } from "../../config/network.ts";
import type { RemoteServer } from "../../core/config.ts";
import { MAX_MESSAGE_BYTES } from "../answer/grpc-limits.ts";

// A machine that was switched off sends nothing: pings detect this within about 15 seconds.
const PING_EVERY_MS = 10_000;
const PING_ANSWER_MS = 5_000;

export type NodeAddress = Pick<RemoteServer, "address" | "apiKey">;

/** The connection to one other machine. Connects, and reconnects, automatically once it is used. */
export interface NodeChannel {
  /** Rejects with grpc-js's error (`failure.ts` translates it), at the latest after `timeoutMs`. */
  info(timeoutMs: number): Promise<InfoResponse>;
  /** The answer as it arrives. `cancel` on it ends the work there. */
  forward(request: ForwardRequest): ClientReadableStream<ForwardResponse>;
  close(): void;
}

export async function openChannel(server: NodeAddress): Promise<NodeChannel> {
  const loaded = await loadAssistantService();
  const { client, metadata } = connect<AssistantClient>(loaded, loaded.service, SERVICE_NAME, server);
  return {
    info: (timeoutMs) =>
      new Promise((resolve, reject) => {
        client.GetInfo({}, metadata, { deadline: Date.now() + timeoutMs }, (error, answer) =>
          answer === undefined ? reject(error) : resolve(answer),
        );
      }),
    forward: (request) => client.ForwardRequestStream(request, metadata),
    close: () => client.close(),
  };
}

/** A client of one of the services at a machine's address, and the metadata that its calls carry: the key. */
export function connect<ServiceClient extends Client>(
  { grpc }: LoadedService,
  service: ServiceDefinition,
  serviceName: string,
  { address, apiKey }: NodeAddress,
  options: ChannelOptions = {},
): { readonly client: ServiceClient; readonly metadata: Metadata } {
  const Service = grpc.makeGenericClientConstructor(service, serviceName);
  const client = new Service(addressText(address), grpc.credentials.createInsecure(), {
    // Answers may have any length: they come in several messages, which are read as fast as the reader accepts them.
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": PING_EVERY_MS,
    "grpc.keepalive_timeout_ms": PING_ANSWER_MS,
    "grpc.initial_reconnect_backoff_ms": 250,
    "grpc.max_reconnect_backoff_ms": 5_000,
    // The gateway decides about retries, since it knows what its client has received.
    "grpc.enable_retries": 0,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    ...options,
  }) as unknown as ServiceClient;
  const metadata = new grpc.Metadata();
  if (apiKey !== null) metadata.set("authorization", `Bearer ${apiKey}`);
  return { client, metadata };
}
