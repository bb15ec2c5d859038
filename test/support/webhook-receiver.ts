import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedWebhook {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real server for webhooks. */
export interface WebhookReceiver extends AsyncDisposable {
  readonly url: string;
  /** In the order of their arrival. */
  readonly received: ReceivedWebhook[];
  /** Statuses of the next answers; 200 when there are none left. */
  readonly statuses: number[];
  /** Where the next answers redirect to, before any of `statuses`. */
  readonly redirects: string[];
}

export async function startReceiver(): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  const statuses: number[] = [];
  const redirects: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body });
      const location = redirects.shift();
      if (location !== undefined) response.setHeader("location", location);
      response.statusCode = location === undefined ? (statuses.shift() ?? 200) : 307;
      response.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    statuses,
    redirects,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
