import type { ClientUnaryCall } from "@grpc/grpc-js";
import { loadAssistantService, MODEL_SERVICE_NAME } from "../api/assistant-service.ts";
import type { DescribedFile, FetchPart, ModelClient, ModelDescription } from "../api/model-service.ts";
import { addressText } from "../config/network.ts";
import type { RemoteServer } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import { isFileName, type ModelFileFacts } from "../models/file-set.ts";
import type { NodeModel, NodeStore } from "../models/pull.ts";
import { connect } from "../upstreams/node/channel.ts";
import { transferFailureOf } from "../upstreams/node/failure.ts";

/** The other machine may have to hash a large file first; whether it is up shows sooner. */
const DESCRIBE_TIMEOUT_MS = 600_000;
/** On the way at once. The usual 64 KiB would make 3 MB/s of a line with a round trip of 20 ms, however wide it is. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** The store of another machine, over a separate connection: weights do not hold up requests. Dispose it after use. */
export async function openNodeStore(
  server: Pick<RemoteServer, "name" | "address" | "apiKey">,
): Promise<NodeStore & Disposable> {
  const loaded = await loadAssistantService();
  const { client, metadata } = connect<ModelClient>(loaded, loaded.modelService, MODEL_SERVICE_NAME, server, {
    "grpc-node.flow_control_window": WINDOW_BYTES,
  });
  const { connectivityState } = loaded.grpc;
  const silent = (ms: number): AssistantError =>
    new AssistantError(
      "node_unavailable",
      `The remote server "${server.name}" (${addressText(server.address)}) sent nothing for ${ms / 1000} s.`,
      {
        remedy: "Run the same command again to resume.",
      },
    );
  return {
    node: server.name,
    async describe(model, { connectMs }, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<ModelDescription>();
      const call: ClientUnaryCall = client.Describe(
        { model },
        metadata,
        { deadline: Date.now() + DESCRIBE_TIMEOUT_MS },
        (error, answer) => (answer === undefined ? reject(transferFailureOf(server.name, error)) : resolve(answer)),
      );
      const stop = (): void => call.cancel();
      signal.addEventListener("abort", stop);
      const watch = setTimeout(() => {
        if (client.getChannel().getConnectivityState(false) === connectivityState.READY) return;
        reject(
          new AssistantError(
            "node_unavailable",
            `No connection to the remote server "${server.name}" (${addressText(server.address)}) within ${connectMs / 1000} s.`,
            {
              remedy: "Check that its daemon runs and that `grpc_addr` of its [[remote_servers]] entry is right.",
            },
          ),
        );
        stop();
      }, connectMs);
      try {
        return checked(server.name, await promise);
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      } finally {
        clearTimeout(watch);
        signal.removeEventListener("abort", stop);
      }
    },
    async *fetch({ name, sha256 }, offset, { stallMs }, signal) {
      signal.throwIfAborted();
      const call = client.Fetch({ model: name, sha256, offset: String(offset) }, metadata);
      // A cancelled call ends with an error here too, after its reader has gone.
      call.on("error", () => {});
      const stop = (): void => call.cancel();
      signal.addEventListener("abort", stop);
      let stalled = false;
      try {
        const parts = call[Symbol.asyncIterator]() as AsyncIterator<FetchPart, undefined>;
        for (;;) {
          // Runs only while the machine is waited for: a slow disk of ours is no fault of its.
          const timer = setTimeout(() => {
            stalled = true;
            stop();
          }, stallMs);
          const { done, value } = await parts.next().finally(() => clearTimeout(timer));
          if (done === true) return;
          yield value.data;
        }
      } catch (error) {
        signal.throwIfAborted();
        throw stalled ? silent(stallMs) : transferFailureOf(server.name, error);
      } finally {
        signal.removeEventListener("abort", stop);
        call.cancel();
      }
    },
    [Symbol.dispose]: () => client.close(),
  };
}

const DIGEST = /^[0-9a-f]{64}$/;
const isFile = (file: ModelFileFacts | null): file is ModelFileFacts => file !== null;

function fileOf({ name, role, bytes, sha256 }: DescribedFile): ModelFileFacts | null {
  const size = Number(bytes);
  const known = role === "weights" || role === "projector";
  return known && isFileName(name) && Number.isSafeInteger(size) && DIGEST.test(sha256)
    ? { name, role, bytes: size, sha256 }
    : null;
}

/** What another machine says is checked like any input. */
function checked(node: string, { name, bytes, sha256, reference, licence, files = [] }: ModelDescription): NodeModel {
  const size = Number(bytes);
  const several = files.map(fileOf);
  if (name !== "" && Number.isSafeInteger(size) && DIGEST.test(sha256) && !several.includes(null))
    return { name, bytes: size, sha256, reference, licence, files: files.length < 2 ? null : several.filter(isFile) };
  throw new AssistantError(
    "pull_failed",
    `The remote server "${node}" described the model without a name, a size or a SHA-256.`,
    {
      remedy: "Update Assistant on that machine.",
    },
  );
}
