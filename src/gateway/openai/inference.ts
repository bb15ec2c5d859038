import type { IncomingMessage, ServerResponse } from "node:http";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import type { ModelSpec } from "../../core/model.ts";
import type { Lease, RequestFacts, RequestOutcome, Waiting } from "../../core/request.ts";
import { readBody } from "../front/body.ts";
import { ClientGone, Departure } from "../front/departure.ts";
import { errorBody, presentable, sendError } from "../front/error-body.ts";
import type { DoorContext, GatewaySettings, InferenceRoute } from "../ports.ts";
import { ClientStream } from "../relay/client-stream.ts";
import { AnswerBroken, EngineUnreachable, relay } from "../relay/relay.ts";
import { driveBody } from "../relay/stock.ts";
import { type AnswerFacts, NO_FACTS } from "../relay/tail.ts";
import { encodePost } from "../relay/upstream.ts";
import { type CacheScope, cacheScopeOf } from "./cache-scope.ts";
import { checkFields } from "./fields.ts";
import { answerTokens, checkContentType, deadlineOf, parseBody, priorityOf } from "./parse.ts";
import { encodeRemotePost, hopsOf, MOST_TRIES, mayTryElsewhere } from "./remote.ts";
import { resolveModel } from "./resolve-model.ts";
import { type SignTimes, WaitingSigns, waitHeaders } from "./waiting-signs.ts";

/** One HTTP request that has passed the guards. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  readonly tenant: string;
  readonly settings: GatewaySettings;
  /** Headers of every answer to it: name, value, name, value, … */
  readonly headers: readonly string[];
  /** Monotonic milliseconds. */
  readonly arrivedAt: number;
}

type Body = Readonly<Record<string, unknown>>;

/** Serves one request to an engine from its body to its log line. Never rejects. */
export async function serveInference(context: DoorContext, route: InferenceRoute, call: Call, signTimes: SignTimes): Promise<void> {
  const departure = new Departure(call.request.socket);
  const inference = new Inference(context, route, call, signTimes, departure);
  try {
    await inference.run();
  } catch (error) {
    inference.fail(error);
  } finally {
    departure.done();
    inference.end();
  }
}

class Inference {
  readonly #context: DoorContext;
  readonly #route: InferenceRoute;
  readonly #call: Call;
  readonly #signTimes: SignTimes;
  readonly #departure: Departure;
  readonly #scope: CacheScope;
  #client: ClientStream;
  #model: ModelSpec | null = null;
  #streamed = false;
  #wait: Waiting | null = null;
  #signs: WaitingSigns | null = null;
  #lease: Lease | null = null;
  #firstTokenAt: number | null = null;
  #facts: AnswerFacts = NO_FACTS;
  #end: RequestOutcome["end"] | "rejected" = "rejected";
  #error: AssistantError | null = null;

  constructor(context: DoorContext, route: InferenceRoute, call: Call, signTimes: SignTimes, departure: Departure) {
    this.#context = context;
    this.#route = route;
    this.#call = call;
    this.#signTimes = signTimes;
    this.#departure = departure;
    this.#scope = cacheScopeOf(call.request, call.tenant, call.settings);
    this.#client = new ClientStream(call.response, call.headers);
  }

  async run(): Promise<void> {
    const { request, settings } = this.#call;
    checkContentType(request);
    const bytes = await readBody(request, settings.bodyLimitBytes, this.#departure);
    const body = parseBody(bytes);
    checkFields(this.#route.name, body);
    const model = resolveModel(this.#context.directory, body.model, this.#route.kind, this.#context.onlyModels);
    this.#model = model;
    this.#streamed = body.stream === true && this.#route.name !== "embedding";
    this.#client = new ClientStream(this.#call.response, this.#call.headers.concat("x-assistant-model", model.name));
    const facts = this.#requestFacts(body, model);
    for (let attempt = 1; ; attempt++) {
      const lease = await this.#acquire(facts);
      this.#lease = lease;
      try {
        this.#signs?.[Symbol.dispose]();
        this.#facts = await this.#relay(lease, facts, body, bytes, model);
        this.#finish(lease, "complete");
        return;
      } catch (error) {
        const elsewhere = this.#isUnanswered() && lease.engine === "remote" && mayTryElsewhere(error);
        this.#finish(lease, elsewhere ? "engine-error" : endOf(error));
        if (elsewhere && attempt < MOST_TRIES) continue;
        if (this.#isUnanswered() && attempt < 2 && isEngineGone(error)) continue;
        throw error instanceof EngineUnreachable ? unreachable(model, error) : error;
      } finally {
        lease[Symbol.dispose]();
      }
    }
  }

  #requestFacts(body: Body, model: ModelSpec): RequestFacts {
    const { id, request, tenant } = this.#call;
    const { promptTokens, prefix } = this.#context.fingerprint(body, model, this.#scope.name);
    return {
      id,
      model: model.name,
      tenant,
      priority: priorityOf(request),
      promptTokens,
      maxTokens: answerTokens(this.#route, body, model),
      prefix,
      deadlineAt: deadlineOf(request, this.#streamed),
      hops: hopsOf(request),
    };
  }

  /**
   * Until the first byte of an answer has come another instance may be tried: once for an engine that could not be
   * reached or died, which may well be what the request did to it; more often for other machines that failed it.
   */
  #isUnanswered(): boolean {
    return this.#firstTokenAt === null && !this.#departure.cancelled;
  }

  #acquire(facts: RequestFacts): Promise<Lease> {
    return this.#context.dispatcher.acquire(facts, this.#departure, (wait) => {
      // What the wait looked like at first is what its head tells.
      this.#wait ??= wait;
      if (!this.#streamed) return;
      this.#signs ??= new WaitingSigns(this.#client, this.#signTimes);
      this.#signs.told(wait);
    });
  }

  #relay(lease: Lease, facts: RequestFacts, body: Body, bytes: Buffer, model: ModelSpec): Promise<AnswerFacts> {
    const { name, path } = this.#route;
    const asked = (body.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true;
    const wantsUsage = asked || model.includeUsage;
    const driven = !lease.noticesDepartedClients && name !== "embedding";
    let sent = body;
    if (driven) sent = driveBody(body);
    else if (this.#streamed && wantsUsage && !asked) sent = withUsage(body);
    const scope = name === "embedding" ? [] : this.#scope.headers;
    if (scope.length > 0 && !lease.separatesScopes && this.#scope.isContested) sent = { ...sent, cache_prompt: false };
    // As the client wrote it, wherever that will do.
    const payload = sent === body ? bytes : Buffer.from(JSON.stringify(sent));
    const reusable = !this.#streamed && !driven;
    const { nodeId } = this.#context;
    const encoded =
      lease.engine === "remote" ? encodeRemotePost({ path, payload, body, model, facts, nodeId, reusable, scope }) : encodePost(path, payload, reusable, scope);
    return relay({
      lease,
      request: { socketPath: lease.socketPath, bytes: encoded, reusable },
      client: this.#client,
      headers: ["x-assistant-instance", lease.instanceId, "x-assistant-queue-ms", String(Math.round(lease.queuedMs)), ...waitHeaders(this.#wait)],
      departure: this.#departure,
      stock: driven ? { route: name, streamed: this.#streamed, wantsUsage, wantsProgress: body.return_progress === true } : null,
      onFirstToken: (whole) => {
        this.#firstTokenAt = performance.now();
        // Of an answer in one piece the end says it all.
        if (!whole) lease.firstToken();
      },
    });
  }

  #finish(lease: Lease, end: RequestOutcome["end"]): void {
    this.#end = end;
    const { promptTokens, cachedTokens, completionTokens, promptMs, completionMs } = this.#facts;
    lease.finish({ end, promptTokens, cachedTokens, completionTokens, promptMs, completionMs });
  }

  /** Tells the client, in whatever way is still open, why there is no answer or no more of it. */
  fail(thrown: unknown): void {
    const { response, id } = this.#call;
    if (thrown instanceof ClientGone || this.#departure.cancelled) {
      this.#end = "cancelled";
      response.destroy();
      return;
    }
    const broken = thrown instanceof AnswerBroken ? thrown : null;
    const error = presentable(broken?.reason ?? thrown);
    this.#error = error;
    if (error.code === "internal") this.#context.log.error({ id, err: thrown }, "a request failed inside the daemon");
    if (!this.#client.headSent) {
      const instance = this.#lease === null ? [] : ["x-assistant-instance", this.#lease.instanceId];
      const model = this.#model === null ? [] : ["x-assistant-model", this.#model.name];
      sendError(response, error, id, [...this.#call.headers, ...model, ...instance]);
    } else if (this.#streamed && (broken?.betweenEvents ?? true)) {
      this.#client.endBroken(Buffer.from(`data: ${JSON.stringify(errorBody(error, id))}\n\n`));
    } else {
      this.#client.destroy();
    }
  }

  /** Leaves nothing behind but the line in the log. */
  end(): void {
    this.#signs?.[Symbol.dispose]();
    this.#log();
  }

  #log(): void {
    const { id, tenant, arrivedAt, response } = this.#call;
    const { promptTokens, cachedTokens, completionTokens, finishReason } = this.#facts;
    const fields = {
      id,
      route: this.#route.path,
      model: this.#model?.name ?? null,
      instance: this.#lease?.instanceId ?? null,
      tenant,
      status: this.#end === "cancelled" ? null : response.statusCode,
      stream: this.#streamed,
      queueMs: rounded(this.#lease?.queuedMs ?? null),
      ttftMs: rounded(this.#firstTokenAt === null ? null : this.#firstTokenAt - arrivedAt),
      totalMs: rounded(performance.now() - arrivedAt),
      promptTokens,
      cachedTokens,
      completionTokens,
      finish: finishReason,
      end: this.#end,
      ...(this.#error === null ? {} : errorFields(this.#error)),
    };
    this.#context.logRequest(this.#error !== null && this.#error.status >= 500 ? "warn" : "info", fields);
  }
}

/** These say what they found in the body, and what a user wrote belongs into no log. */
const QUOTING: ReadonlySet<string> = new Set(["invalid_request", "invalid_json"]);

const errorFields = ({ code, param, message }: AssistantError): object => (QUOTING.has(code) ? { code, param } : { code, error: message });

function endOf(error: unknown): RequestOutcome["end"] {
  if (error instanceof ClientGone) return "cancelled";
  const reason = error instanceof AnswerBroken ? error.reason : error;
  return reason instanceof AssistantError && reason.status < 500 ? "client-error" : "engine-error";
}

/** It could not be reached, or it died; not one that was stopped on purpose. */
function isEngineGone(error: unknown): boolean {
  const reason = error instanceof AnswerBroken ? error.reason : error;
  return error instanceof EngineUnreachable || (isAssistantError(reason) && reason.code === "engine_lost");
}

const withUsage = (body: Body): Record<string, unknown> => ({ ...body, stream_options: { ...(body.stream_options as object | null), include_usage: true } });

const unreachable = (model: ModelSpec, cause: Error): AssistantError =>
  new AssistantError("engine_lost", `The engine of "${model.name}" could not be reached.`, {
    remedy: "Try again; `assistant ps` says what became of the instance.",
    retryAfterS: 1,
    cause,
  });

const rounded = (milliseconds: number | null): number | null => (milliseconds === null ? null : Math.round(milliseconds * 10) / 10);
