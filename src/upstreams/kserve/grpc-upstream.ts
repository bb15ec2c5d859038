import type { Client, ClientReadableStream, ClientUnaryCall, ServiceDefinition, ServiceError } from "@grpc/grpc-js";
import {
  INFERENCE_SERVICE_NAME,
  loadInferenceService,
  type WireInferRequest,
  type WireInferResponse,
  type WireStreamResponse,
} from "../../api/inference-service.ts";
import { checkInferAnswer } from "../../api/message-limits.ts";
import { steadyClock } from "../../core/clock.ts";
import { AssistantError } from "../../core/errors.ts";
import type { AnswerSink, InferenceCall } from "../../core/inference.ts";
import { type AnswerFacts, SendFailure, type Sending, type Upstream } from "../../core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../answer/delivery.ts";
import { MAX_MESSAGE_BYTES, tooLong } from "../answer/grpc-limits.ts";
import { refusalOf, retryOf, unreachable } from "../answer/worker-failure.ts";
import { bodyOfResponse, eventOfResponse, messageOfBody } from "./codec.ts";
import type { NameOf } from "./http-upstream.ts";
import { InferReceiver } from "./receiver.ts";

/** The client that grpc-js creates for the service. */
interface InferenceClient extends Client {
  ModelInfer(
    request: Partial<WireInferRequest>,
    options: { deadline?: number },
    callback: (error: ServiceError | null, answer?: WireInferResponse) => void,
  ): ClientUnaryCall;
  ModelStreamInfer(options: { deadline?: number }): ClientReadableStream<WireStreamResponse> & {
    write(request: Partial<WireInferRequest>): boolean;
    end(): void;
  };
}

/** gRPC statuses with an HTTP equivalent; others are faults of the worker. */
const HTTP_STATUS: Readonly<Record<number, number>> = { 3: 400, 8: 429, 11: 400, 14: 503 };
const UNAVAILABLE = 14;

/** A worker that implements the Open Inference Protocol over gRPC. */
export class KserveGrpcUpstream implements Upstream {
  readonly #address: string;
  readonly #nameOf: NameOf;
  #client: Promise<InferenceClient> | null = null;

  constructor(address: string, nameOf: NameOf) {
    this.#address = address.replace(/^grpc:\/\//, "");
    this.#nameOf = nameOf;
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const { call, model } = sending;
    if (call.wire !== "kserve.infer")
      throw new SendFailure(
        new AssistantError("wrong_model_kind", `"${model.name}" takes tensors alone.`, { param: "model" }),
        "never",
      );
    const { name, version } = this.#nameOf(model.name);
    const message = { ...messageOfBody(call.body), modelName: name, modelVersion: version };
    this.#client ??= this.#connect();
    const client = await this.#client;
    return deliver({
      sending,
      sink,
      retryAfter: retryOf,
      open: (delivery) => this.#open(client, message, delivery, sending, sink),
    });
  }

  close(): void {
    void this.#client?.then((client) => client.close());
  }

  #open(
    client: InferenceClient,
    message: WireInferRequest,
    delivery: Delivery,
    sending: Sending,
    sink: AnswerSink,
  ): AnswerSource {
    return sending.call.streamed
      ? this.#stream(client, message, delivery, sending, sink)
      : this.#whole(client, message, delivery, sending, sink);
  }

  #whole(
    client: InferenceClient,
    message: WireInferRequest,
    delivery: Delivery,
    { call, headers }: Sending,
    sink: AnswerSink,
  ): AnswerSource {
    const running = client.ModelInfer(message, optionsOf(call), (error, answer) => {
      if (error !== null || answer === undefined) return delivery.fail(this.#failureOf(error));
      const { bytes, headBytes } = bodyOfResponse(answer);
      const content = { type: "application/octet-stream", length: bytes.length, headLength: String(headBytes) };
      delivery.head(() => new InferReceiver(sink, content, headers));
      delivery.body(bytes);
      delivery.closed();
    });
    return { resume: () => {}, close: () => running.cancel() };
  }

  #stream(
    client: InferenceClient,
    message: WireInferRequest,
    delivery: Delivery,
    { call, headers }: Sending,
    sink: AnswerSink,
  ): AnswerSource {
    const stream = client.ModelStreamInfer(optionsOf(call));
    const content = { type: "text/event-stream", length: undefined, headLength: undefined };
    let begun = false;
    stream.on("data", ({ errorMessage = "", inferResponse }: WireStreamResponse) => {
      if (errorMessage !== "") return delivery.fail(refusalOf(this.#address, 500, errorMessage, "inputs"));
      if (!begun) delivery.head(() => new InferReceiver(sink, content, headers));
      begun = true;
      if (!delivery.body(eventOfResponse(inferResponse ?? {}))) stream.pause();
    });
    stream.on("error", (error: ServiceError) => delivery.fail(this.#failureOf(error)));
    stream.on("end", () => {
      if (!begun) delivery.head(() => new InferReceiver(sink, content, headers));
      delivery.closed();
    });
    stream.write(message);
    stream.end();
    return { resume: () => void stream.resume(), close: () => stream.cancel() };
  }

  #failureOf(error: ServiceError | null): AssistantError {
    if (error === null || error.code === UNAVAILABLE) return unreachable(this.#address, error);
    const excess = tooLong(error.code, error.details);
    if (excess?.message === "answer")
      return new AssistantError(
        "worker_error",
        `The worker at ${this.#address} sent a message of more than ${excess.limit}.`,
        { remedy: "Ask for less at once, or for a stream." },
      );
    if (excess !== null)
      return new AssistantError(
        "body_too_large",
        `The worker at ${this.#address} accepts requests of at most ${excess.limit}.`,
        { remedy: "Send less at once, or increase the worker's limit of received messages." },
      );
    return refusalOf(this.#address, HTTP_STATUS[error.code] ?? 500, error.details, "inputs");
  }

  async #connect(): Promise<InferenceClient> {
    const [grpc, { service }] = await Promise.all([import("@grpc/grpc-js"), loadInferenceService()]);
    const Constructor = grpc.makeGenericClientConstructor(checkedService(service), INFERENCE_SERVICE_NAME);
    const options = {
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length": -1,
      "grpc.enable_http_proxy": 0,
    };
    return new Constructor(this.#address, grpc.credentials.createInsecure(), options) as unknown as InferenceClient;
  }
}

/** The service, whose answers are checked before they are decoded. */
const checkedService = (service: ServiceDefinition): ServiceDefinition =>
  Object.fromEntries(
    Object.entries(service).map(([name, method]) => {
      const { responseDeserialize } = method;
      const checked = (bytes: Buffer): unknown => {
        if (name.endsWith("Infer")) checkInferAnswer(bytes, method.responseStream);
        return responseDeserialize(bytes);
      };
      return [name, { ...method, responseDeserialize: checked }];
    }),
  );

const optionsOf = ({ deadlineAt }: InferenceCall): { deadline?: number } =>
  deadlineAt === null ? {} : { deadline: Date.now() + deadlineAt - steadyClock.now() };
