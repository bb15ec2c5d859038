import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeInstallation, installFakes } from "../support/fake-installation.ts";

interface Conversation {
  readonly conversation_id: string;
  readonly message_count: number;
}
interface Message {
  readonly role: string;
  readonly content: string;
}

const keyToml = (name: string): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(name).digest("hex")}"\n`;

let assistant: FakeInstallation;
let url: string;

beforeAll(async () => {
  assistant = await installFakes({
    config: `${keyToml("ann")}${keyToml("bob")}\n[conversations]\nmax_messages = 40\n`,
    models: { river: {}, brook: {} },
  });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
});

async function call<T>(method: string, path: string, body?: object, key = "ann"): Promise<{ status: number; body: T }> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: (text === "" ? {} : JSON.parse(text)) as T };
}

async function begin(fields: object = {}): Promise<string> {
  const { status, body } = await call<Conversation>("POST", "/api/v1/conversations", fields);
  expect(status, JSON.stringify(body)).toBe(201);
  return body.conversation_id;
}
const pathOf = (id: string, more = ""): string => `/api/v1/conversations/${id}${more}`;
const messagesOf = async (id: string): Promise<string[]> => {
  const { body } = await call<{ messages: Message[] }>("GET", pathOf(id, "/messages"));
  return body.messages.map(({ role, content }) => `${role}: ${content}`);
};

describe("/api/v1/conversations", () => {
  it("shows exactly the fields of the API", async () => {
    const fields = { model: "river", system_prompt: "Be brief.", metadata: { topic: "rivers" } };
    const { body: made } = await call<Conversation>("POST", "/api/v1/conversations", fields);
    expect(made).toEqual({
      ...fields,
      conversation_id: expect.stringMatching(/^conv_[0-9a-f]{12}$/),
      message_count: 1,
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      updated_at: expect.any(String),
    });
    const id = made.conversation_id;
    const added = await call<Message>("POST", pathOf(id, "/messages"), { role: "user", content: "hello" });
    expect(added).toEqual({ status: 201, body: { role: "user", content: "hello", timestamp: expect.any(String) } });
    const { body: shown } = await call<object>("GET", pathOf(id, "?include_messages=true"));
    expect(shown).toEqual({
      ...made,
      message_count: 2,
      updated_at: expect.any(String),
      messages: [
        { role: "system", content: "Be brief.", timestamp: expect.any(String) },
        { role: "user", content: "hello", timestamp: expect.any(String) },
      ],
    });
    const changed = await call<object>("PATCH", pathOf(id), { model: null, system_prompt: "", metadata: { a: 1 } });
    expect(changed.body).toMatchObject({ model: "river", system_prompt: null, metadata: { a: 1 }, message_count: 1 });
    expect((await call("DELETE", pathOf(id, "/messages"))).status).toBe(204);
    expect(await messagesOf(id)).toEqual([]);
    expect((await call("DELETE", pathOf(id))).status).toBe(204);
    expect((await call("GET", pathOf(id))).status).toBe(404);
  });

  it("lists in pages, and branches", async () => {
    const id = await begin({ system_prompt: "s" });
    for (const content of ["a", "b"]) await call("POST", pathOf(id, "/messages"), { role: "user", content });
    const branch = await call<Conversation>("POST", pathOf(id, "/branch"), { at_message: 2 });
    expect(branch).toMatchObject({ status: 201, body: { message_count: 2 } });
    expect(await messagesOf(branch.body.conversation_id)).toEqual(["system: s", "user: a"]);
    const page = await call<object>("GET", "/api/v1/conversations?limit=1&offset=1");
    expect(page.body).toMatchObject({ conversations: [{ conversation_id: id }], limit: 1, offset: 1 });
    const newest = await call<{ messages: Message[] }>("GET", pathOf(id, "/messages?limit=1"));
    expect(newest.body.messages).toMatchObject([{ role: "user", content: "b" }]);
  });

  it.each([
    ["POST", "", { model: "nothing" }, 404, "model_not_found", "model"],
    ["POST", "", { systemprompt: "x" }, 400, "invalid_request", "systemprompt"],
    ["POST", "", { metadata: [] }, 400, "invalid_request", "metadata"],
    ["GET", "?limit=0", undefined, 400, "invalid_request", "limit"],
    ["GET", "?offset=x", undefined, 400, "invalid_request", "offset"],
    ["GET", "/conv_000000000000", undefined, 404, "conversation_not_found", "conversation_id"],
    ["GET", "/nothing", undefined, 404, "conversation_not_found", "conversation_id"],
    ["POST", "/conv_000000000000/messages", { role: "tool", content: "x" }, 400, "invalid_request", "role"],
    ["POST", "/conv_000000000000/messages", { role: "user", content: "" }, 400, "invalid_request", "content"],
    ["POST", "/conv_000000000000/branch", { at_message: 0 }, 400, "invalid_request", "at_message"],
  ])("refuses %s %s %j", async (method, path, body, status, error, param) => {
    const answer = await call(method, `/api/v1/conversations${path}`, body);
    expect(answer).toMatchObject({ status, body: { error, details: { param }, trace_id: expect.any(String) } });
  });

  it("does not exist for another key", async () => {
    const id = await begin();
    for (const [method, more, body] of [
      ["GET", "", undefined],
      ["PATCH", "", { metadata: {} }],
      ["DELETE", "", undefined],
      ["GET", "/messages", undefined],
      ["POST", "/messages", { role: "user", content: "x" }],
      ["DELETE", "/messages", undefined],
      ["POST", "/branch", {}],
    ] as const)
      expect(await call(method, pathOf(id, more), body, "bob")).toMatchObject({
        status: 404,
        body: { error: "conversation_not_found" },
      });
    expect((await call("GET", pathOf(id))).status).toBe(200);
  });
});
