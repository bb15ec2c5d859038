/**
 * Load from a process of its own, over raw sockets, against servers that each have their own way of answering: with a
 * length or in chunks, keeping the connection or closing it. Takes `PeerOrder` messages and answers each with a
 * `PeerResult`.
 */
import { connect } from "node:net";
import { AnswerReader, contentOf, EventCounter } from "./wire.ts";

export interface PeerOrder {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly clients: number;
  /** Each client sends one request after another for this long, ms; 0: one request each. */
  readonly durationMs: number;
  readonly streamed: boolean;
  /** What is not answered by then, in ms from the start, is a failure. */
  readonly timeoutMs: number;
}

export interface PeerResult {
  readonly requests: number;
  readonly seconds: number;
  /** Microseconds, sorted: of whole requests, or of the gaps between two events. */
  readonly latenciesUs: readonly number[];
  readonly events: number;
  readonly failures: number;
  /** Why the first one failed. */
  readonly failure: string | null;
  /** The body of the first answer. */
  readonly body: string;
  /** The different texts that streams, joined, gave. */
  readonly contents: readonly string[];
}

const messages = [
  { role: "system", content: "You are a helpful assistant. ".repeat(12) },
  { role: "user", content: "Name three rivers and say where they end. ".repeat(6) },
];

function requestBytes({ port, path, headers, streamed }: PeerOrder): Buffer {
  const body = JSON.stringify({
    model: "stub",
    messages,
    max_tokens: 200,
    temperature: 0.7,
    ...(streamed ? { stream: true } : {}),
  });
  const all = {
    Host: `127.0.0.1:${port}`,
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}

async function run(order: PeerOrder): Promise<PeerResult> {
  const request = requestBytes(order);
  const latencies: number[] = [];
  const streams: string[] = [];
  const startedAt = performance.now();
  const endAt = startedAt + order.durationMs;
  const timeout = AbortSignal.timeout(order.timeoutMs);
  let requests = 0;
  let events = 0;
  let failures = 0;
  let failure: string | null = null;
  let first: string | null = null;

  const fail = (why: string): void => {
    failures++;
    failure ??= why;
  };
  const done = (status: number, body: string): void => {
    requests++;
    first ??= body;
    if (status !== 200) fail(`status ${status}: ${body.slice(0, 300)}`);
    else if (order.streamed) streams.push(body);
  };
  await Promise.all(Array.from({ length: order.clients }, client));
  const seconds = (performance.now() - startedAt) / 1000;
  // Read only now: parsing would delay the other streams.
  const contents = contentsOf(streams);
  return {
    requests,
    seconds,
    latenciesUs: latencies.sort((a, b) => a - b),
    events,
    failures,
    failure,
    body: first ?? "",
    contents,
  };

  function contentsOf(bodies: readonly string[]): string[] {
    const found = new Set<string>();
    for (const body of bodies) {
      try {
        found.add(contentOf(body, true));
      } catch (error) {
        fail(`a stream that cannot be read: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return [...found];
  }

  /** Requests over one connection after another, as long as its server keeps it. */
  async function client(): Promise<void> {
    let goOn = true;
    while (goOn && !timeout.aborted) goOn = await connection();
  }

  /** False once this client has done enough. */
  function connection(): Promise<boolean> {
    return new Promise((resolve) => {
      let sentAt = performance.now();
      let answered = 0;
      let goOn = false;
      let body = "";
      let lastEventAt = 0;
      let counter = new EventCounter();
      const reader = new AnswerReader((bytes) => {
        // An error is worth reading; of other whole answers one is enough.
        if (order.streamed || first === null || reader.status !== 200) body += bytes.toString("latin1");
        if (order.streamed) eventsIn(bytes);
      });
      const eventsIn = (bytes: Buffer): void => {
        const came = counter.count(bytes.toString("latin1"));
        const now = performance.now();
        for (let event = 0; event < came; event++) {
          if (lastEventAt > 0) latencies.push((now - lastEventAt) * 1000);
          lastEventAt = now;
        }
        events += came;
      };
      const complete = (): boolean => {
        const now = performance.now();
        if (!order.streamed) latencies.push((now - sentAt) * 1000);
        done(reader.status, body);
        body = "";
        counter = new EventCounter();
        answered++;
        sentAt = now;
        return now < endAt && !timeout.aborted;
      };

      const socket = connect({ host: "127.0.0.1", port: order.port, noDelay: true }, () => socket.write(request));
      const late = (): void => {
        fail(`no whole answer within ${order.timeoutMs} ms`);
        goOn = false;
        socket.destroy();
      };
      timeout.addEventListener("abort", late);
      socket.on("data", (bytes: Buffer) => {
        try {
          if (!reader.feed(bytes)) return;
        } catch (error) {
          fail(String(error));
          return void socket.destroy();
        }
        goOn = complete();
        if (goOn && !reader.closes) socket.write(request);
        else socket.destroy();
      });
      socket.on("error", (error) => {
        // A kept connection that its server has given up meanwhile is no failure: the request goes again.
        if (answered === 0 || reader.underWay) fail(error.message);
      });
      socket.on("close", () => {
        timeout.removeEventListener("abort", late);
        if (reader.end()) goOn = complete();
        else if (reader.underWay)
          fail(`the connection ended within an answer, after ${JSON.stringify(body.slice(-80))}`);
        else if (answered === 0 && !timeout.aborted && failures === 0) fail("the connection ended without an answer");
        resolve(goOn && failures < 100);
      });
    });
  }
}

process.on("message", (order: PeerOrder) => void run(order).then((result) => process.send?.(result)));
process.on("disconnect", () => process.exit(0));
process.send?.({ port: 0 });
