import { createHash } from "node:crypto";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/assistant.ts";
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
    config: `${keyToml("ann")}${keyToml("bob")}\n[conversations]\nmax_messages = 60\n`,
    models: { river: {}, brook: {}, narrow: { contextTokens: 2048, slots: 1 } },
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

/** Messages of the last request that the engine got. */
async function lastPrompt(model = "river"): Promise<Message[]> {
  const { bodies } = await assistant.record(model);
  return (JSON.parse(bodies.at(-1) ?? "{}") as { messages: Message[] }).messages;
}
const chat = (fields: object): Promise<{ status: number; body: { choices: [{ message: Message }] } }> =>
  call("POST", "/v1/chat/completions", { model: "river", max_tokens: 3, ...fields });
const user = (content: string) => ({ role: "user", content });
const ANSWER = "word0 word1 word2";

describe("a chat in a conversation", () => {
  it("goes on with what was said, and becomes part of it", async () => {
    const id = await begin({ system_prompt: "Be brief." });
    const first = await chat({ conversation: id, messages: [user("one")] });
    expect(first.body.choices[0].message.content).toBe(ANSWER);
    await chat({ conversation: { id }, messages: [user("two")] });
    expect(await lastPrompt()).toEqual([
      { role: "system", content: "Be brief." },
      user("one"),
      { role: "assistant", content: ANSWER },
      user("two"),
    ]);
    const turns = ["system: Be brief.", "user: one", `assistant: ${ANSWER}`, "user: two", `assistant: ${ANSWER}`];
    expect(await messagesOf(id)).toEqual(turns);
  });

  it("is streamed, and kept when the client has its end", async () => {
    const id = await begin();
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "ann", maxRetries: 0 });
    const body = { model: "river", max_tokens: 3, messages: [{ role: "user" as const, content: "one" }] };
    const stream = await openai.chat.completions.create({ ...body, stream: true, conversation: id } as typeof body & {
      stream: true;
    });
    let text = "";
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    expect(text).toBe(ANSWER);
    expect(await messagesOf(id)).toEqual(["user: one", `assistant: ${ANSWER}`]);
  });

  it("takes the conversation's model, and its own system message in the place of the conversation's", async () => {
    const id = await begin({ model: "brook", system_prompt: "Be brief." });
    const messages = [{ role: "system", content: "Be long." }, user("one")];
    await call("POST", "/v1/chat/completions", { max_tokens: 3, conversation: id, messages });
    expect(await lastPrompt("brook")).toEqual(messages);
    expect(await messagesOf(id)).toEqual(["system: Be long.", "user: one", `assistant: ${ANSWER}`]);
  });

  it("leaves the conversation as it was where there is no whole answer", async () => {
    const id = await begin();
    await assistant.turn("river", { failStatus: 500 });
    const failed = await chat({ conversation: id, messages: [user("one")] });
    await assistant.turn("river", { failStatus: null });
    expect(failed.status).toBeGreaterThanOrEqual(500);
    const leaving = new AbortController();
    await assistant.turn("river", { hold: true });
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer ann", "content-type": "application/json" },
      body: JSON.stringify({ model: "river", stream: true, conversation: id, messages: [user("two")] }),
      signal: leaving.signal,
    });
    expect(answer.status).toBe(200);
    leaving.abort();
    await assistant.turn("river", { hold: false });
    await chat({ conversation: id, messages: [user("three")] });
    expect(await messagesOf(id)).toEqual(["user: three", `assistant: ${ANSWER}`]);
  });

  it.each([
    [{ conversation: "conv_000000000000" }, 404, "conversation_not_found"],
    [{ conversation: 5 }, 400, "invalid_request"],
    [{ conversation: "", n: 2 }, 400, "invalid_request"],
    [{ messages: [{ role: "user" }] }, 400, "invalid_request"],
    [{ messages: [{ role: "tool", content: "4" }] }, 400, "invalid_request"],
  ])("is refused: %j", async (fields, status, code) => {
    const answer = await chat({ conversation: await begin(), messages: [user("one")], ...fields });
    expect(answer).toMatchObject({ status, body: { error: { code } } });
  });

  it("leaves out the oldest turns when the context is full, and keeps the system prompt", async () => {
    const id = await begin({ system_prompt: "Be brief." });
    const long = "word ".repeat(300);
    for (let turn = 0; turn < 6; turn++) await call("POST", pathOf(id, "/messages"), user(`${turn} ${long}`));
    await chat({ model: "narrow", conversation: id, messages: [user("last")] });
    const prompt = await lastPrompt("narrow");
    expect(prompt[0]).toEqual({ role: "system", content: "Be brief." });
    expect(prompt.at(-1)).toEqual(user("last"));
    expect(prompt.length).toBeGreaterThan(2);
    expect(prompt.length).toBeLessThan(8);
    expect(prompt.at(-2)?.content.startsWith("5 ")).toBe(true);
  });
});

describe("a task in a conversation", () => {
  const submit = (fields: object): Promise<{ status: number; body: { task_id: string; model: string } }> =>
    call("POST", "/api/v1/tasks", { prompt: "two", max_tokens: 3, ...fields });
  const completes = ({ task_id: id }: { task_id: string }): Promise<boolean> =>
    eventually(`${id} completes`, async () => {
      const { body } = await call<{ status: string }>("GET", `/api/v1/tasks/${id}`);
      return body.status === "completed" ? true : undefined;
    });

  it("goes on with it by its model, and becomes part of it unless it says otherwise", async () => {
    const id = await begin({ model: "brook", system_prompt: "Be brief." });
    await call("POST", pathOf(id, "/messages"), user("one"));
    const before = await messagesOf(id);
    const aside = await submit({ conversation_id: id, save_to_conversation: false });
    expect(aside).toMatchObject({ status: 201, body: { model: "brook" } });
    await completes(aside.body);
    expect(await lastPrompt("brook")).toEqual([{ role: "system", content: "Be brief." }, user("one"), user("two")]);
    expect(await messagesOf(id)).toEqual(before);
    const task = await submit({ conversation_id: id, model: "river", input_text: "more" });
    expect(task.body.model).toBe("river");
    await completes(task.body);
    expect(await messagesOf(id)).toEqual([...before, "user: two\n\nmore", `assistant: ${ANSWER}`]);
    expect((await call("GET", `/api/v1/tasks/${task.body.task_id}/report`)).body).toMatchObject({
      params: { conversation_id: id },
    });
  });

  it("sees the last 50 messages at most", async () => {
    const id = await begin({ model: "river" });
    for (let index = 0; index < 52; index++) await call("POST", pathOf(id, "/messages"), user(String(index)));
    await completes((await submit({ conversation_id: id, prompt: "last" })).body);
    const prompt = await lastPrompt();
    expect(prompt).toHaveLength(51);
    expect(prompt[0]).toEqual(user("2"));
  });

  it("is refused where there is none of its key's", async () => {
    const refused = { status: 404, body: { error: "conversation_not_found" } };
    expect(await submit({ model: "river", conversation_id: "conv_000000000000" })).toMatchObject(refused);
    const foreign = await call<Conversation>("POST", "/api/v1/conversations", {}, "bob");
    expect(await submit({ model: "river", conversation_id: foreign.body.conversation_id })).toMatchObject(refused);
  });
});

describe("OpenAI's Conversations API", () => {
  it("serves OpenAI's client on the same records", async () => {
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "ann", maxRetries: 0 });
    const { id, ...made } = await openai.conversations.create({
      metadata: { topic: "rivers" },
      items: [{ role: "user", content: "one" }],
    });
    expect(made).toEqual({ object: "conversation", created_at: expect.any(Number), metadata: { topic: "rivers" } });
    expect((await openai.conversations.update(id, { metadata: { topic: "lakes" } })).metadata).toEqual({
      topic: "lakes",
    });
    const added = await openai.conversations.items.create(id, {
      items: [
        { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
        { type: "function_call_output", call_id: "c1", output: "4" },
      ],
    });
    expect(added.data).toMatchObject([{ type: "function_call" }, { type: "function_call_output", output: "4" }]);
    const listed = await openai.conversations.items.list(id, { order: "asc", limit: 2 });
    expect(listed.data).toMatchObject([{ type: "message", role: "user", status: "completed" }, { call_id: "c1" }]);
    expect(listed.has_more).toBe(true);
    const itemId = listed.data[0]?.id ?? "";
    expect(await openai.conversations.items.retrieve(itemId, { conversation_id: id })).toEqual(listed.data[0]);
    const callId = listed.data[1]?.id ?? "";
    expect(await openai.conversations.items.delete(callId, { conversation_id: id })).toMatchObject({ id });
    expect(await messagesOf(id)).toEqual(["user: one"]);
    expect((await openai.conversations.items.list(id)).data).toHaveLength(1);
    expect(await openai.conversations.delete(id)).toEqual({ id, object: "conversation.deleted", deleted: true });
    await expect(openai.conversations.retrieve(id)).rejects.toMatchObject({ status: 404 });
  });

  it("is what responses go on with", async () => {
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "ann", maxRetries: 0 });
    const { id } = await openai.conversations.create();
    const ask = { model: "river", max_output_tokens: 3, conversation: id };
    const first = await openai.responses.create({ ...ask, input: "one", instructions: "Be brief." });
    expect(first.conversation).toEqual({ id });
    for await (const _ of await openai.responses.create({ ...ask, input: "two", stream: true, store: false }));
    expect(await lastPrompt()).toEqual([user("one"), { role: "assistant", content: ANSWER }, user("two")]);
    const items = await openai.conversations.items.list(id, { order: "asc" });
    expect(items.data.map((item) => ("role" in item ? item.role : item.type))).toEqual([
      ...["user", "assistant", "user", "assistant"],
    ]);
    expect(items.data[1]?.id).toBe(first.output[0]?.id);
    await expect(openai.responses.create({ ...ask, input: "x", previous_response_id: first.id })).rejects.toMatchObject(
      { param: "conversation" },
    );
    await expect(
      openai.responses.create({ model: "river", input: "x", previous_response_id: first.id }),
    ).rejects.toMatchObject({ param: "previous_response_id" });
  });
});

describe("the commands", () => {
  const run = (...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> => assistant.run(args);

  it("begin a conversation, go on with it, list, show and delete it", async () => {
    const first = await run("run", "river", "one", "--conversation", "--max-tokens", "3", "--system", "Be brief.");
    expect(first).toMatchObject({ exitCode: 0, stdout: ANSWER });
    const id = /^Conversation (conv_[0-9a-f]{12})$/m.exec(first.stderr)?.[1] ?? "";
    const second = await run("run", "--conversation", id, "river", "two", "--max-tokens", "3", "--json");
    expect(JSON.parse(second.stdout)).toMatchObject({ conversation: id, text: ANSWER, model: "river" });
    expect((await lastPrompt()).map(({ content }) => content)).toEqual(["Be brief.", "one", ANSWER, "two"]);
    expect((await run("conversation", "list")).stdout).toMatch(
      new RegExp(`^${id} +river +5 +.* ago +Be brief\\.$`, "m"),
    );
    expect((await run("conversation", "show", id)).stdout).toMatch(
      /\[user\]\none\n\n\[assistant\]\nword0 word1 word2\n/,
    );
    expect(JSON.parse((await run("conversation", "rm", id, "--json")).stdout)).toEqual({ removed: [id] });
    expect((await run("conversation", "show", id)).exitCode).toBe(4);
    expect((await run("run", "--conversation", id, "river", "three")).exitCode).toBe(4);
  });
});
