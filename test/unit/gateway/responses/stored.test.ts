import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InferenceCall } from "../../../../src/core/inference.ts";
import type { Store } from "../../../../src/core/store.ts";
import { ResponseAnswer } from "../../../../src/gateway/doors/openai/responses/answer.ts";
import { accept } from "../../../../src/gateway/doors/openai/responses/background.ts";
import { type ResponseRequest, readRequest } from "../../../../src/gateway/doors/openai/responses/request.ts";
import { type ResponseQueue, Responses } from "../../../../src/gateway/doors/openai/responses/stored.ts";
import { SqliteStore } from "../../../../src/store/sqlite/store.ts";
import type { TaskRecord, TaskStatus } from "../../../../src/tasks/record.ts";

const DAY_MS = 86_400_000;

describe("stored responses", () => {
  let directory: string;
  let store: Store;
  let responses: Responses;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "assistant-responses-"));
    store = new SqliteStore({ directory, report: () => {} });
    responses = new Responses(store, () => DAY_MS);
  });
  afterAll(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });

  const asked = (fields: object = {}): Promise<ResponseRequest> =>
    readRequest({ model: "river", input: "Hello", ...fields }, responses.historyOf("kim"));
  const answerOf = ({ id, repeated, input }: ResponseRequest): ResponseAnswer =>
    new ResponseAnswer({
      ...{ id, repeated, createdAt: 1, model: "river", summarizes: false, inputItems: input.length },
    });
  const answered = async (fields: object = {}, text = "Rhine"): Promise<ResponseRequest> => {
    const request = await asked(fields);
    const answer = answerOf(request);
    answer.begin(null);
    answer.whole({ choices: [{ message: { content: text }, finish_reason: "stop" }] });
    answer.finish();
    await responses.keep("kim", request, answer);
    return request;
  };

  it("are there for their tenant alone", async () => {
    const { id } = await answered();
    expect((await responses.find("kim", id))?.response["status"]).toBe("completed");
    expect(await responses.find("lee", id)).toBeNull();
    expect(await responses.delete("lee", id)).toBe(false);
    expect(await responses.itemsThrough("lee", id)).toBeNull();
  });

  it("make the conversation that a request goes on from", async () => {
    const first = await answered({ instructions: "Be brief." });
    const second = await answered({ previous_response_id: first.id }, "Elbe");
    const { chat } = await asked({ previous_response_id: second.id, input: "And?" });
    expect(chat["messages"]).toEqual([
      { role: "user", content: "Hello" },
      { role: "assistant", content: "Rhine" },
      { role: "user", content: "Hello" },
      { role: "assistant", content: "Elbe" },
      { role: "user", content: "And?" },
    ]);
  });

  it("give the items that a request names", async () => {
    const { id } = await answered();
    const [item] = (await responses.find("kim", id))?.response.output ?? [];
    const { chat } = await asked({
      input: [
        { type: "item_reference", id: item?.id },
        { role: "user", content: "And?" },
      ],
    });
    expect(chat["messages"]).toMatchObject([{ role: "assistant", content: "Rhine" }, { role: "user" }]);
  });

  it("cannot be gone on from once one before is deleted", async () => {
    const first = await answered();
    const second = await answered({ previous_response_id: first.id });
    expect(await responses.delete("kim", first.id)).toBe(true);
    await expect(asked({ previous_response_id: second.id })).rejects.toMatchObject({ param: "previous_response_id" });
  });

  it("cannot be gone on from where they are larger than a request may be", async () => {
    const first = await answered({ input: "a".repeat(33 * 2 ** 20) });
    const second = await answered({ previous_response_id: first.id, input: "b".repeat(33 * 2 ** 20) });
    await expect(asked({ previous_response_id: second.id })).rejects.toMatchObject({
      ...{ code: "invalid_request", param: "previous_response_id", message: expect.stringContaining("characters") },
    });
    expect(await responses.inputOf("kim", second.id)).toHaveLength(3);
  });

  const standing = (status: TaskStatus | null): Responses => {
    const task =
      status === null ? null : ({ status, error: { code: "engine_lost", message: "It died." } } as TaskRecord);
    const queue = { enqueue: async () => {}, find: async () => task, remove: async () => {} };
    const cancel = () => Promise.reject(new Error());
    return new Responses(store, () => DAY_MS, { queue: { ...queue, cancel } });
  };

  it.each([
    ["pending", "queued", null],
    ["processing", "in_progress", null],
    ["cancelled", "cancelled", null],
    ["failed", "failed", { code: "server_error", message: "It died." }],
    [null, "failed", { code: "server_error", message: expect.stringContaining("daemon exited") }],
  ] as const)("of the background whose task is %s are %s", async (status, expected, error) => {
    const request = await asked({ background: true });
    await responses.keep("kim", request, answerOf(request));
    const found = await standing(status).find("kim", request.id);
    expect(found?.response).toMatchObject({ status: expected, error });
  });

  it("are not gone on from while they are not there", async () => {
    const request = await asked({ background: true });
    await responses.keep("kim", request, answerOf(request));
    await expect(
      readRequest({ input: "x", previous_response_id: request.id }, standing(null).historyOf("kim")),
    ).rejects.toMatchObject({ param: "previous_response_id", message: expect.stringContaining("failed") });
  });

  it("are not kept where their task is refused", async () => {
    const request = await asked({ background: true });
    const enqueue = () => Promise.reject(new Error("too many wait"));
    const full = new Responses(store, () => DAY_MS, { queue: { enqueue } as unknown as ResponseQueue });
    const call = { caller: { tenant: "kim" }, selector: { model: "river" } } as InferenceCall;
    await expect(accept(full, request, call, "river")).rejects.toThrow("too many wait");
    expect(await responses.find("kim", request.id)).toBeNull();
  });

  it("are not kept for a key that was revoked meanwhile", async () => {
    const request = await asked();
    await new Responses(store, () => DAY_MS, { mayKeep: () => false }).keep("kim", request, answerOf(request));
    expect(await responses.find("kim", request.id)).toBeNull();
  });

  it("are not kept where nothing is to be", async () => {
    const none = new Responses(store, () => 0);
    expect(none.historyOf("kim")).toBeNull();
    const { repeated } = await readRequest({ input: "x" }, none.historyOf("kim"));
    expect(repeated["store"]).toBe(false);
  });
});
