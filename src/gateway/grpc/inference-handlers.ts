import type { ServerDuplexStream, ServerUnaryCall, ServiceDefinition, sendUnaryData } from "@grpc/grpc-js";
import type { LoadedService } from "../../api/assistant-service.ts";
import type {
  InferenceHandlers,
  WireInferRequest,
  WireInferResponse,
  WireStreamResponse,
} from "../../api/inference-service.ts";
import { checkInferMessage } from "../../api/message-limits.ts";
import type { KeyScope } from "../../core/config.ts";
import { AssistantError, isAssistantError, presentable } from "../../core/errors.ts";
import { CallerGone } from "../../core/upstream.ts";
import { errorText } from "../doors/kserve/wire.ts";
import { type Identity, isHidden, needsAdminKey } from "../front/authorize.ts";
import { apiKeyOf, bearerOf } from "../front/keys.ts";
import type { ForwardOptions } from "./forward.ts";
import { type GrpcCall, infer, inferStreamed, refused } from "./inference-call.ts";
import { failureStatus } from "./status.ts";

export interface InferenceHandlerOptions extends ForwardOptions {
  readonly grpc: LoadedService["grpc"];
}

/** As over HTTP. */
const OK = 200;
/** Requests of one stream that run at once; more wait until one has ended. */
const MAX_AT_ONCE = 32;

/** The service's definition, whose requests for an inference are looked at before they are decoded. */
export const boundedService = (service: ServiceDefinition): ServiceDefinition =>
  Object.fromEntries(
    Object.entries(service).map(([name, method]) => [
      name,
      INFERENCES.has(name) ? { ...method, requestDeserialize: bounded(method.requestDeserialize) } : method,
    ]),
  );

const bounded =
  (deserialize: (bytes: Buffer) => unknown) =>
  (bytes: Buffer): object => {
    try {
      checkInferMessage(bytes);
      return deserialize(bytes) as WireInferRequest;
    } catch (error) {
      // The library would answer that something is wrong, and not what.
      const refused = isAssistantError(error)
        ? error
        : new AssistantError("invalid_request", "The message is no inference.ModelInferRequest.", { cause: error });
      return { ...(deserialize(Buffer.alloc(0)) as WireInferRequest), refused };
    }
  };

const INFERENCES: ReadonlySet<string> = new Set(["ModelInfer", "ModelStreamInfer"]);

/** The calls of inference.GRPCInferenceService. */
export function makeInferenceHandlers(options: InferenceHandlerOptions): InferenceHandlers {
  const { grpc, routes } = options;
  const { kserve } = routes;
  const unary =
    <Request, Response>(
      scope: KeyScope,
      answer: (call: ServerUnaryCall<Request, Response>, identity: Identity) => Response | Promise<Response>,
    ) =>
    (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): void => {
      const work = async (): Promise<Response> => answer(call, identify(options, call, scope));
      work().then(
        (response) => callback(null, response),
        (thrown: unknown) => {
          if (!call.cancelled) callback(failureStatus(grpc, presented(options, thrown)));
        },
      );
    };
  const act = (action: "load" | "unload") =>
    unary<{ repositoryName: string; modelName: string }, { modelName: string; done: boolean }>(
      "admin",
      async (call, { caller }) => {
        const modelName = call.request.modelName || call.request.repositoryName;
        const gone = new AbortController();
        call.once("cancelled", () => gone.abort(new CallerGone()));
        const entry = {
          actor: caller.tenant,
          via: "grpc",
          action: call.getPath(),
          target: modelName.slice(0, 200),
        } as const;
        const audit = (status: number): void => routes.audit({ at: Date.now(), ...entry, status, requestId: null });
        try {
          await kserve.act(caller, modelName, action, gone.signal);
          audit(OK);
        } catch (error) {
          audit(presentable(error).status);
          throw error;
        }
        return { modelName, done: true };
      },
    );

  return {
    // For probes, as over HTTP: they need no key.
    serverLive: (_, callback) => callback(null, { live: true }),
    serverReady: (_, callback) => callback(null, { ready: kserve.isReady() }),
    serverMetadata: unary("inference", () => kserve.server()),
    modelReady: unary("inference", async ({ request: { name: model, version } }, { caller }) => {
      const ready = await kserve.isModelReady(caller, { model, version }).catch(falseWhereMissing);
      return { ready };
    }),
    modelMetadata: unary("inference", ({ request: { name: model, version } }, { caller }) =>
      kserve.metadata(caller, { model, version }),
    ),
    repositoryIndex: unary("inference", async ({ request: { ready } }, { caller }) => ({
      models: await kserve.index(caller, { readyOnly: ready }),
    })),
    repositoryModelLoad: act("load"),
    repositoryModelUnload: act("unload"),
    modelInfer: unary("inference", (call, identity) => infer(options, call, identity, call.request)),
    modelStreamInfer: (call) => {
      try {
        identify(options, call, "inference");
        streamInfer(options, call);
      } catch (thrown) {
        call.emit("error", failureStatus(grpc, presented(options, thrown)));
      }
    },
  };
}

/**
 * Serves the requests of a stream beside each other. What is wrong with one is its own answer; the others go on. Each
 * is asked for its key: when that opens nothing any more, the stream takes no other request and ends so, after the
 * answers that have begun.
 */
function streamInfer(
  options: InferenceHandlerOptions,
  call: ServerDuplexStream<WireInferRequest, WireStreamResponse>,
): void {
  let running = 0;
  let isComplete = false;
  let refusal: AssistantError | null = null;
  const endIfDone = (): void => {
    if (!isComplete || running > 0 || call.cancelled) return;
    if (refusal === null) call.end();
    else call.emit("error", failureStatus(options.grpc, refusal));
  };
  const admitted = (): Identity | null => {
    if (refusal !== null) return null;
    try {
      return identify(options, call, "inference");
    } catch (thrown) {
      refusal = presented(options, thrown);
      isComplete = true;
      endIfDone();
      return null;
    }
  };
  const serve = async (message: WireInferRequest, identity: Identity): Promise<void> => {
    try {
      const writer = {
        write: (inferResponse: WireInferResponse) => call.write({ inferResponse }),
        onDrain: (callback: () => void) => void call.once("drain", callback),
      };
      const last = await inferStreamed(options, call, identity, message, writer);
      if (last !== null) call.write({ inferResponse: last });
    } catch (thrown) {
      if (thrown instanceof CallerGone || call.cancelled) return;
      call.write({ errorMessage: errorText(presented(options, thrown)), inferResponse: { id: message.id } });
    } finally {
      running -= 1;
      if (running < MAX_AT_ONCE) call.resume();
      endIfDone();
    }
  };
  // Each of the running requests may wait for room and for the caller's disconnecting.
  call.setMaxListeners(MAX_AT_ONCE + 10);
  call.on("error", () => {});
  call.on("data", (message: WireInferRequest) => {
    const identity = admitted();
    if (identity === null) return;
    running += 1;
    if (running >= MAX_AT_ONCE) call.pause();
    void serve(message, identity);
  });
  call.on("end", () => {
    // It has ended so already.
    if (refusal !== null) return;
    isComplete = true;
    endIfDone();
  });
}

/** Who calls, if they may. Throws as `authorize` does. */
function identify(options: InferenceHandlerOptions, call: GrpcCall, scope: KeyScope): Identity {
  const [authorization, apiKey] = ["authorization", "x-api-key"].map((name) => call.metadata.get(name)[0]?.toString());
  try {
    const identity = options.authorizer.authorize(bearerOf(authorization) ?? apiKeyOf(apiKey), scope, call);
    if (isHidden(scope, true, identity)) throw needsAdminKey();
    return identity;
  } catch (error) {
    refused(options, call, error);
    throw error;
  }
}

function presented({ log }: InferenceHandlerOptions, thrown: unknown): AssistantError {
  const error = presentable(thrown);
  if (error.code === "internal") log.error({ err: thrown }, "a call of the inference service failed");
  return error;
}

function falseWhereMissing(error: unknown): false {
  if (isAssistantError(error) && error.code === "model_not_found") return false;
  throw error;
}
