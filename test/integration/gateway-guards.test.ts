import { createHash } from "node:crypto";
import { request } from "node:http";
import { describe, expect, test, vi } from "vitest";
import { chatBody, startGateway, type TestGateway } from "../support/gateway.ts";
import { postBytes, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const start = async (): Promise<TestGateway> => {
  return startGateway((socket, { body }) => {
    socket.end(
      body.includes('"stream":true')
        ? sseHead + chatEvents(["x"]).map(chunk).join("") + LAST_CHUNK
        : jsonAnswer('{"n":1}'),
    );
  });
};

/** fetch forbids Host and Origin; node:http sends what it is told. */
function call(
  target: { port: number } | { socketPath: string },
  method: string,
  path: string,
  headers: Record<string, string>,
  body = "",
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", ...target, method, path, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const chat = "/v1/chat/completions";
const json = { "content-type": "application/json" };
const body = JSON.stringify(chatBody());

describe("origins", () => {
  test.each([
    "http://localhost:5173",
    "https://localhost",
    "http://127.0.0.1:8000",
    "http://[::1]:3000",
    "http://0.0.0.0:3000",
    "http://chat.localhost",
    "file://",
    "tauri://localhost",
    "vscode-file://vscode-app",
    "app://obsidian.md",
  ])("%s is on this machine: its preflight passes and it may read the answer", async (origin) => {
    const { port } = await start();
    const preflight = await call({ port }, "OPTIONS", chat, {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,x-stainless-os",
      "access-control-request-private-network": "true",
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      "access-control-allow-origin": origin,
      "access-control-allow-headers": "authorization,content-type,x-stainless-os",
      "access-control-allow-private-network": "true",
      vary: "Origin",
    });
    expect(String(preflight.headers["access-control-allow-methods"])).toContain("POST");
    const answer = await call({ port }, "POST", chat, { ...json, origin }, body);
    expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([200, origin]);
    expect(String(answer.headers["access-control-expose-headers"])).toContain("x-request-id");
  });

  test.each([
    "https://evil.example",
    "null",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "https://evillocalhost",
  ])("%s is refused, in the preflight and in the request, and causes no work", async (origin) => {
    const { port, dispatcher } = await start();
    for (const method of ["OPTIONS", "POST"]) {
      const answer = await call(
        { port },
        method,
        chat,
        { ...json, origin, "access-control-request-method": "POST" },
        method === "POST" ? body : "",
      );
      expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([403, undefined]);
      expect(answer.text).toContain("origin_not_allowed");
    }
    expect(dispatcher.asked).toHaveLength(0);
  });

  test("a listed origin, and `*`, are allowed from the moment they are listed", async () => {
    const { port, settings } = await start();
    const origin = "https://web.chatboxai.app";
    const status = async (): Promise<number> => (await call({ port }, "POST", chat, { ...json, origin }, body)).status;
    expect(await status()).toBe(403);
    settings.corsOrigins = [origin];
    expect(await status()).toBe(200);
    settings.corsOrigins = ["https://other.example"];
    expect(await status()).toBe(403);
    settings.corsOrigins = ["*"];
    expect(await status()).toBe(200);
  });

  test("a page may read errors and the list of models", async () => {
    const { port } = await start();
    const origin = "http://localhost:5173";
    for (const [method, path] of [
      ["GET", "/v1/models"],
      ["GET", "/v1/nothing"],
      ["POST", chat],
    ] as const) {
      expect((await call({ port }, method, path, { ...json, origin })).headers["access-control-allow-origin"]).toBe(
        origin,
      );
    }
  });

  test("streamed answers carry the headers too", async () => {
    const { port } = await start();
    const client = await rawClient(port);
    client.send(postBytes(chat, chatBody({ stream: true }), { headers: { origin: "http://localhost:5173" } }));
    expect(await client.until(LAST_CHUNK)).toMatch(/access-control-allow-origin: http:\/\/localhost:5173\r\n/i);
  });

  test("OPTIONS without an origin says what is allowed", async () => {
    const { port } = await start();
    const answer = await call({ port }, "OPTIONS", chat, {});
    expect([answer.status, answer.headers["allow"]]).toEqual([204, "POST, OPTIONS"]);
  });
});

describe("Host", () => {
  test.each(["127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:8080", "192.168.1.5:8080", "assistant.localhost"])(
    "%s is taken",
    async (host) => {
      const { port } = await start();
      expect((await call({ port }, "GET", "/v1/models", { host })).status).toBe(200);
    },
  );

  test.each(["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.nip.example"])(
    "%s is a 403",
    async (host) => {
      const { port } = await start();
      const answer = await call({ port }, "GET", "/v1/models", { host });
      expect(answer.status).toBe(403);
      expect(answer.text).toContain("host_not_allowed");
      expect((await call({ port }, "POST", chat, { ...json, host }, body)).status).toBe(403);
    },
  );

  test("listed names are taken, with everything below a leading dot", async () => {
    const { port, settings } = await start();
    settings.allowedHosts = ["ai.example.org", ".lan"];
    const statuses = await Promise.all(
      ["ai.example.org", "box.lan:8080", "other.example.org"].map(
        async (host) => (await call({ port }, "GET", "/health", { host })).status,
      ),
    );
    expect(statuses).toEqual([200, 200, 403]);
  });

  test("HTTP/1.0 may leave it out", async () => {
    const { port } = await start();
    const client = await rawClient(port);
    client.send("GET /health HTTP/1.0\r\n\r\n");
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("API keys", () => {
  const key = (name: string, secret: string): { name: string; sha256: string } => ({
    name,
    sha256: createHash("sha256").update(secret).digest("hex"),
  });
  const withKeys = async (): Promise<TestGateway> => {
    const gateway = await start();
    gateway.settings.apiKeys = [key("anna", "sk-anna"), key("ben", "sk-ben")];
    return gateway;
  };

  test("without one everything but health and preflights is a 401", async () => {
    const { port, dispatcher } = await withKeys();
    for (const [method, path] of [
      ["GET", "/v1/models"],
      ["GET", "/v1/info"],
      ["GET", "/nothing"],
      ["POST", chat],
    ] as const) {
      const answer = await call({ port }, method, path, json, method === "POST" ? body : "");
      expect([answer.status, answer.text.includes("missing_api_key")]).toEqual([401, true]);
      expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
    }
    expect((await call({ port }, "GET", "/health", {})).status).toBe(200);
    expect((await call({ port }, "OPTIONS", chat, { origin: "http://localhost:1" })).status).toBe(204);
    expect(dispatcher.asked).toHaveLength(0);
  });

  test("a key that expires is refused on the connection that it was let in on", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 });
    try {
      const gateway = await start();
      gateway.settings.apiKeys = [{ ...key("anna", "sk-anna"), expiresAt: 2_000_000 }];
      const client = await rawClient(gateway.port);
      const request = postBytes(chat, chatBody(), { headers: { authorization: "Bearer sk-anna" } });
      client.send(request);
      await client.until(/^HTTP\/1.1 200/);
      vi.setSystemTime(2_000_000);
      client.send(request);
      expect(await client.until("HTTP/1.1 401")).toContain("has expired");
      client.socket.destroy();
    } finally {
      vi.useRealTimers();
    }
  });

  test.each(["Bearer sk-wrong", "Bearer sk-anna2", "Bearer sk-ann"])("%s is a 401", async (authorization) => {
    const { port } = await withKeys();
    const answer = await call({ port }, "POST", chat, { ...json, authorization }, body);
    expect([answer.status, answer.text.includes("invalid_api_key")]).toEqual([401, true]);
  });

  test.each(["Basic c2stYW5uYQ==", "sk-anna", "Bearer "])("%s is no key", async (authorization) => {
    const { port } = await withKeys();
    expect((await call({ port }, "GET", "/v1/models", { authorization })).text).toContain("missing_api_key");
  });

  test("the key's name is the tenant", async () => {
    const { port, dispatcher } = await withKeys();
    for (const secret of ["sk-anna", "sk-ben"])
      await call({ port }, "POST", chat, { ...json, authorization: `Bearer ${secret}` }, body);
    expect(dispatcher.asked.map((facts) => facts.tenant)).toEqual(["anna", "ben"]);
  });

  test("the Unix socket asks for neither key nor Host nor origin", async () => {
    const { adminSocket } = await withKeys();
    const answer = await call(
      { socketPath: adminSocket },
      "POST",
      chat,
      { ...json, host: "anything.example", origin: "https://evil.example" },
      body,
    );
    expect(answer.status).toBe(200);
  });

  test("no key and no prompt ever reaches the log", async () => {
    const { port, lines } = await withKeys();
    await call({ port }, "POST", chat, { ...json, authorization: "Bearer sk-anna" }, body);
    await call({ port }, "POST", chat, { ...json, authorization: "Bearer sk-secret-guess" }, body);
    await call({ port }, "POST", chat, { ...json, authorization: "Bearer sk-ben" }, '{"messages":"prompt text"');
    const text = JSON.stringify(lines);
    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const secret of ["sk-anna", "sk-ben", "sk-secret-guess", "three rivers", "prompt text"])
      expect(text).not.toContain(secret);
  });
});
