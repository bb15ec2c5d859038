import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How the fake provider answers a call. */
export interface Script {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent one after the other, each as soon as the one before has left. */
  readonly parts?: readonly string[];
  /** What follows the parts: a proper end, a broken connection, or nothing at all. */
  readonly ending?: "end" | "cut" | "hang";
}

export interface SeenCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** As it arrived, byte for byte. */
  readonly body: string;
  /** The caller closed the connection before the answer was whole. */
  isGivenUp: boolean;
}

/** A real HTTP server that speaks as much of OpenAI's API as calls use, and misbehaves on demand. */
export interface FakeProvider extends AsyncDisposable {
  /** With the version, as `base_url` has it. */
  readonly url: string;
  readonly calls: SeenCall[];
  /** Calls of a path, such as `/chat/completions`. */
  to(path: string): SeenCall[];
  /** The next calls of the path are answered by these, one each; the last one stays. */
  script(path: string, ...scripts: Script[]): void;
  /** All calls and scripts. */
  forget(): void;
}

export const json = (value: unknown, more: Script = {}): Script => ({
  headers: { "content-type": "application/json", ...more.headers },
  parts: [JSON.stringify(value)],
  ...(more.status === undefined ? {} : { status: more.status }),
});

export const events = (...data: readonly string[]): Script => ({
  headers: { "content-type": "text/event-stream; charset=utf-8" },
  parts: data.map((text) => `data: ${text}\n\n`),
});

export const chunk = (content: string, finish: string | null = null): string =>
  JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] });

/** What a chat answers unless a script says otherwise. */
export const WHOLE = {
  id: "chat-1",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "Rhine" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 7, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 3 } },
};
export const STREAM: readonly string[] = [
  chunk("Rhi"),
  chunk("ne", "stop"),
  JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } }),
  "[DONE]",
];

const VECTORS = {
  object: "list",
  data: [{ index: 0, embedding: [0.5, 0.25] }],
  usage: { prompt_tokens: 4, total_tokens: 4 },
};

/** `models`: ids that its list has. */
export async function startProvider(models: readonly string[] = ["large", "embed-small"]): Promise<FakeProvider> {
  const calls: SeenCall[] = [];
  const scripts = new Map<string, Script[]>();
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const path = (request.url ?? "").replace(/^\/v1/, "");
      const call = { method: request.method ?? "", path, headers: request.headers, body, isGivenUp: false };
      calls.push(call);
      response.on("close", () => {
        call.isGivenUp = !response.writableFinished;
      });
      const queue = scripts.get(path);
      const script = queue !== undefined && queue.length > 1 ? queue.shift() : queue?.[0];
      void play(script ?? usual(path, body, models), response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls,
    to: (path) => calls.filter((call) => call.path === path),
    script: (path, ...list) => void scripts.set(path, list),
    forget() {
      calls.length = 0;
      scripts.clear();
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function usual(path: string, body: string, models: readonly string[]): Script {
  if (path === "/models") return json({ object: "list", data: models.map((id) => ({ id, object: "model" })) });
  if (path === "/embeddings") return json(VECTORS);
  if (path !== "/chat/completions" && path !== "/completions")
    return json({ error: { message: "no such path" } }, { status: 404 });
  return (JSON.parse(body) as { stream?: boolean }).stream ? events(...STREAM) : json(WHOLE);
}

async function play(
  { status = 200, headers = {}, parts = [], ending = "end" }: Script,
  response: ServerResponse,
): Promise<void> {
  response.writeHead(status, headers);
  response.flushHeaders();
  for (const part of parts) await new Promise<void>((resolve) => response.write(part, () => resolve()));
  if (ending === "end") response.end();
  if (ending === "cut") response.destroy();
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
