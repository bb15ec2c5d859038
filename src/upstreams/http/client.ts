import type { IncomingHttpHeaders } from "node:http";
import { Agent, type Dispatcher, fetch, ProxyAgent } from "undici";
import type { AssistantError } from "../../core/errors.ts";
import type { Provider } from "../../core/provider.ts";
import { brokenOff, timedOut, transportFailure } from "./failure.ts";

/** Idle connections are closed before servers and firewalls drop them silently. */
const KEEP_ALIVE_MS = 4_000;
/** Wait for the end of a complete answer: closing its connection would cost the next request a new one. */
const END_GRACE_MS = 1_000;

export interface ProviderRequest {
  readonly method: "GET" | "POST";
  /** Appended to the base URL, with its slash. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export interface ProviderEvents {
  /** Once, before any byte of the body. */
  onHead(status: number, headers: IncomingHttpHeaders): void;
  /** Bytes of the body, without framing; the receiver may keep them. False pauses reading until `resume`. */
  onBody(bytes: Buffer): boolean;
  /** The answer is complete according to HTTP. */
  onEnd(): void;
  /** Instead of `onEnd`: unreachable, silent for too long, or closed early. */
  onFailure(error: AssistantError): void;
}

export interface ProviderExchange {
  resume(): void;
  /** No event follows. Unless `isComplete`, the connection is closed, which providers take as the order to stop. */
  close(isComplete: boolean): void;
}

/**
 * The connections to one provider: its proxy, its timeouts, its headers. Follows no redirects, as they would send the
 * key elsewhere.
 */
export class ProviderClient {
  readonly provider: Provider;
  readonly #dispatcher: Dispatcher;

  constructor(provider: Provider) {
    this.provider = provider;
    const options = {
      connect: { timeout: provider.connectTimeoutMs },
      // Silence is monitored below: undici would count the time in which a slow client pauses reading.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
    };
    this.#dispatcher =
      provider.proxy === null ? new Agent(options) : new ProxyAgent({ ...options, uri: provider.proxy });
  }

  /**
   * For client libraries: the standard `fetch` over these connections. Its failures are undici's own;
   * `transportFailure` translates them. Timeouts are up to the caller's signal.
   */
  readonly fetch: typeof globalThis.fetch = (input, init) =>
    fetch(
      input as string,
      {
        ...(init as object),
        redirect: "manual",
        headers: { ...Object.fromEntries(new Headers(init?.headers)), ...this.provider.headers },
        dispatcher: this.#dispatcher,
      } as Parameters<typeof fetch>[1],
    ) as unknown as Promise<Response>;

  /** Sends one request; reports to `events`. */
  open({ method, path, headers, body }: ProviderRequest, events: ProviderEvents): ProviderExchange {
    const { provider } = this;
    const url = new URL(provider.baseUrl);
    const exchange = new Exchange(provider, events);
    this.#dispatcher.dispatch(
      {
        origin: url.origin,
        path: `${url.pathname === "/" ? "" : url.pathname}${path}`,
        method,
        headers: {
          "user-agent": "assistant",
          accept: "application/json, text/event-stream",
          // Answers are passed on unchanged, to clients that may not support the provider's compression.
          "accept-encoding": "identity",
          ...headers,
          ...provider.headers,
        },
        ...(body === undefined ? {} : { body }),
      },
      exchange.handler,
    );
    return exchange;
  }

  /** Running answers end first. */
  close(): void {
    void this.#dispatcher.close().catch(() => {});
  }
}

class Exchange implements ProviderExchange {
  readonly #provider: Provider;
  readonly #events: ProviderEvents;
  #controller: Dispatcher.DispatchController | null = null;
  #state: "waiting" | "answering" | "over" = "waiting";
  readonly #silence: NodeJS.Timeout;

  constructor(provider: Provider, events: ProviderEvents) {
    this.#provider = provider;
    this.#events = events;
    this.#silence = setTimeout(() => this.#silent(), provider.connectTimeoutMs + provider.silenceTimeoutMs);
  }

  resume(): void {
    this.#silence.refresh();
    this.#controller?.resume();
  }

  close(isComplete: boolean): void {
    if (this.#state === "over") return;
    this.#over();
    if (!isComplete) this.#abort();
    else setTimeout(() => this.#abort(), END_GRACE_MS).unref();
  }

  readonly handler: Dispatcher.DispatchHandler = {
    onRequestStart: (controller) => {
      this.#controller = controller;
      if (this.#state === "over") this.#abort();
    },
    onResponseStart: (_controller, status, headers) => {
      if (this.#state === "over" || status < 200) return;
      this.#state = "answering";
      this.#silence.refresh();
      this.#events.onHead(status, headers);
    },
    onResponseData: (controller, bytes) => {
      if (this.#state === "over") return;
      this.#silence.refresh();
      if (!this.#events.onBody(bytes) && !this.#isOver()) controller.pause();
    },
    onResponseEnd: () => {
      if (this.#state === "over") return;
      this.#over();
      this.#events.onEnd();
    },
    onResponseError: (_controller, error) => {
      if (this.#state === "over") return;
      const begun = this.#state === "answering";
      this.#over();
      this.#events.onFailure(begun ? brokenOff(this.#provider, error) : transportFailure(this.#provider, error));
    },
  };

  #silent(): void {
    // A client that reads slowly does not count as silence of the provider.
    if (this.#controller?.paused) {
      this.#silence.refresh();
      return;
    }
    this.#over();
    this.#abort();
    this.#events.onFailure(timedOut(this.#provider));
  }

  #over(): void {
    this.#state = "over";
    clearTimeout(this.#silence);
  }

  #isOver(): boolean {
    return this.#state === "over";
  }

  #abort(): void {
    if (this.#controller !== null && !this.#controller.aborted) this.#controller.abort(new Error("given up"));
  }
}
