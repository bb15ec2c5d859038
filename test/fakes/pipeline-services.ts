import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { wavHeader } from "../../src/engines/speech/wav.ts";

/** What a service was asked. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

export interface PipelineServices extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
}

/** Dify's chat API, GPT-SoVITS' `/tts`, and a service with answers of each format that the stage `http` takes. */
export async function startPipelineServices(): Promise<PipelineServices> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void (async () => {
      const written = await text(request);
      const body = (written === "" ? {} : JSON.parse(written)) as Record<string, unknown>;
      asked.push({
        method: request.method ?? "",
        path: request.url ?? "",
        authorization: request.headers.authorization,
        body,
      });
      answer(request, body, response);
    })();
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** As Dify's documentation has the answers about conversations: status and body. */
function conversations(path: string, method: string): readonly [status: number, body: object | null] {
  if (path.includes("gone")) return [404, { code: "not_found", message: "Conversation Not Exists." }];
  if (method === "DELETE") return [204, null];
  if (path.startsWith("/v1/messages/m-1/suggested?")) return [200, { result: "success", data: ["Why?"] }];
  if (path.endsWith("/name")) return [200, { id: "c-1", name: "Rivers" }];
  const data = path.startsWith("/v1/messages?") ? [{ id: "m-1", query: "hi", answer: "hello" }] : [{ id: "c-1" }];
  return [200, { limit: 20, has_more: false, data }];
}

function answer({ url, method = "" }: IncomingMessage, body: Record<string, unknown>, response: ServerResponse): void {
  if (/^\/v1\/(messages|conversations)/.test(url ?? "")) {
    const [status, body] = conversations(url ?? "", method);
    if (body === null) response.writeHead(status).end();
    else json(response, status, body);
    return;
  }
  switch (url) {
    case "/v1/chat-messages":
      if (body["query"] === "refuse")
        return void json(response, 400, { code: "invalid_param", message: "no such app" });
      response.writeHead(200, { "content-type": "text/event-stream" });
      return void response.end(difyWire(String(body["query"])));
    case "/tts":
      response.writeHead(200, { "content-type": "audio/wav" });
      // As the service has it: 32 kHz, a tenth of a second.
      return void response.end(Buffer.concat([wavHeader(32_000, 6_400), Buffer.alloc(6_400, 1)]));
    case "/json":
      return void json(response, 200, { data: { said: body["q"], items: [{ title: "Elbe" }] } });
    case "/sse":
      response.writeHead(200, { "content-type": "text/event-stream" });
      return void response.end('data: {"t":"one"}\n\ndata: {"p":1}\n\ndata: {"t":"two"}\n\ndata: [DONE]\n\n');
    case "/silent":
      return;
    default:
      return void json(response, url === "/v1" || url === "/" ? 404 : 500, { detail: "it broke" });
  }
}

const json = (response: ServerResponse, status: number, value: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
};

/** As Dify's documentation has the events of an answer. */
function difyWire(query: string): string {
  const ids = {
    task_id: "900bbd43-dc0b-4383-a372-aa6e6c414227",
    id: "663c5084-a254-4040-8ad3-51f2a3c1a77c",
    message_id: "663c5084-a254-4040-8ad3-51f2a3c1a77c",
    conversation_id: "45701982-8118-4bc5-8e9b-64562b4555f2",
    created_at: 1705398420,
  };
  const pieces = query === "fail" ? ["half"] : ["你好", "，", "世界", "。再见"];
  const events: object[] = pieces.map((piece) => ({ event: "message", answer: piece, ...ids }));
  if (query === "fail")
    events.push({ event: "error", ...ids, status: 400, code: "provider_quota_exceeded", message: "quota" });
  else events.push({ event: "message_end", ...ids, metadata: { usage: { total_tokens: 12 } } });
  return ["event: ping\n", ...events.map((event) => `data: ${JSON.stringify(event)}\n`)].join("\n").concat("\n");
}
