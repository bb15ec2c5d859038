import type { IncomingHttpHeaders } from "node:http";
import { INFERENCE_SERVICE_NAME, loadInferenceService, type WireInferRequest } from "../../../api/inference-service.ts";
import { AssistantError } from "../../../core/errors.ts";
import type { AnswerSink } from "../../../core/inference.ts";
import { bodyOfMessage, messageOfAnswer } from "../../../upstreams/kserve/codec.ts";
import { DelegatedSink } from "../../front/delegated-sink.ts";
import type { DecodedBody, InferenceRoute } from "../../front/door.ts";
import { capabilityHeaders } from "../../front/selector.ts";
import { BufferedSink } from "./buffered-sink.ts";
import { handlerCall, isHandler } from "./handler.ts";
import { decodeInference } from "./infer.ts";
import type { KserveModels } from "./models.ts";

/** After this many delegations, a request is served here or refused. */
const MAX_DEPTH = 4;
const DELEGATED_FROM = "x-delegated-from";
const DELEGATION_DEPTH = "x-delegation-depth";

/** Inference by capability, given in headers `X-Capability-*`. */
export const capabilityRoutes = (models: KserveModels): readonly InferenceRoute[] => [
  route("/infer", async (bytes, headers) => decodeProtobuf(models, bytes, headers)),
  route("/infer/json", async (bytes, headers) => decodeInference(models, bytes, headers, null, false)),
  route("/infer/stream", async (bytes, headers) => decodeInference(models, bytes, headers, null, true)),
];

const route = (
  path: string,
  decode: (bytes: Buffer, headers: IncomingHttpHeaders) => Promise<DecodedBody>,
): InferenceRoute => ({
  path,
  name: path,
  operation: "tensors",
  wire: "kserve.infer",
  checkHeaders: () => {},
  decode: async (bytes, headers) => {
    if (capabilityHeaders(headers) === null)
      throw new AssistantError("invalid_request", "The request names no capability.", {
        param: "X-Capability-*",
        remedy: "Send at least one header such as `X-Capability-Type: chat`.",
      });
    const { hops, depth } = delegation(headers);
    const decoded = await decode(bytes, headers);
    if (hops.length === 0) return decoded;
    const { translate = (client: AnswerSink) => client } = decoded;
    return {
      ...decoded,
      hops,
      translate: (client) => new DelegatedSink(translate(client), (error) => unserved(error, depth)),
    };
  },
});

/** Delegators do not receive the request again. Throws `invalid_request`, and `capability_not_found` for a loop. */
function delegation(headers: IncomingHttpHeaders): { readonly hops: readonly string[]; readonly depth: number } {
  const written = headers[DELEGATION_DEPTH]?.toString() ?? "0";
  if (!/^\d{1,3}$/.test(written))
    throw new AssistantError(
      "invalid_request",
      `The header ${DELEGATION_DEPTH} must be a number; found "${written.slice(0, 40)}".`,
      {
        param: DELEGATION_DEPTH,
      },
    );
  const depth = Number(written);
  if (depth > MAX_DEPTH)
    throw new AssistantError(
      "capability_not_found",
      `The request was delegated ${depth} times, and no replica served it.`,
      {
        param: DELEGATION_DEPTH,
      },
    );
  const from = headers[DELEGATED_FROM]?.toString() ?? "";
  const hops = from
    .split(",")
    .map((id) => id.trim())
    .filter((id) => id !== "")
    .slice(0, MAX_DEPTH);
  return { hops, depth };
}

/** No replica is left for a delegated request: all that offer the capabilities have had it. */
const unserved = (error: AssistantError, depth: number): AssistantError =>
  error.code === "node_unavailable" || error.code === "worker_unavailable"
    ? new AssistantError(
        "capability_not_found",
        `No other replica offers the requested capabilities (the request was delegated ${Math.max(1, depth)} times).`,
        { cause: error },
      )
    : error;

/** A `ModelInferRequest` in protobuf, answered with a `ModelInferResponse`. */
async function decodeProtobuf(models: KserveModels, bytes: Buffer, headers: IncomingHttpHeaders): Promise<DecodedBody> {
  const { definition } = await loadInferenceService();
  const service = definition[INFERENCE_SERVICE_NAME] as Awaited<ReturnType<typeof loadInferenceService>>["service"];
  const method = service["ModelInfer"];
  if (method === undefined) throw new TypeError("the service has no ModelInfer");
  const message = readMessage(bytes, method.requestDeserialize);
  const target = models.target({ model: message.modelName, version: message.modelVersion }, headers);
  if (!isHandler(target.spec))
    throw new AssistantError(
      "wrong_model_kind",
      `${target.spec === undefined ? "What is asked for" : `"${target.spec.name}"`} is no handler of tensors.`,
      {
        param: "X-Capability-*",
        remedy: "Use /infer/json, or gRPC, for text models.",
      },
    );
  return {
    ...handlerCall(target, bodyOfMessage(message, {}, false), false),
    translate: (client) =>
      new BufferedSink(client, (answer, headBytes) => ({
        bytes: method.responseSerialize(messageOfAnswer(answer, headBytes, true)),
        type: "application/x-protobuf",
      })),
  };
}

function readMessage(bytes: Buffer, deserialize: (bytes: Buffer) => unknown): WireInferRequest {
  try {
    return deserialize(bytes) as WireInferRequest;
  } catch (cause) {
    throw new AssistantError("invalid_request", "The body is no inference.ModelInferRequest in protobuf.", { cause });
  }
}
