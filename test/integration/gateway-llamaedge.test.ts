import { expect, test } from "vitest";
import { chatModel, embeddingModel, startGateway, type TestGateway } from "../support/gateway.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

let running: TestGateway | null = null;

/** An engine for which every word is one token. */
const start = async (options: Parameters<typeof startGateway>[1] = {}): Promise<TestGateway> => {
  running = await startGateway((socket, { body }) => {
    const { content } = JSON.parse(body) as { content: readonly (string | number)[] };
    const tokens = content.map((part) => (typeof part === "number" ? part : 7));
    socket.end(jsonAnswer(JSON.stringify({ tokens })));
  }, options);
  return running;
};
const post = async (body: object): Promise<{ status: number; body: unknown }> => {
  const answer = await fetch(`${running?.url}/v1/chunks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
};

test("a text is divided by the tokens of the embedding model", async () => {
  const { dispatcher } = await start({ models: [chatModel, embeddingModel] });
  const answer = await post({ filename: "rivers.txt", text: "One two. Three four five.\n\nSix.", chunk_capacity: 4 });
  expect(answer).toEqual({
    status: 200,
    body: { filename: "rivers.txt", chunks: ["One two.", "Three four five.", "Six."] },
  });
  expect(dispatcher.asked[0]?.model).toBe("vectors");
});

test("a model that is named counts the tokens", async () => {
  const { dispatcher } = await start();
  expect((await post({ text: "One two.", model: "stream-chat" })).body).toMatchObject({ chunks: ["One two."] });
  expect(dispatcher.asked[0]?.model).toBe("river");
});

test("blanks need no model", async () => {
  const { dispatcher } = await start();
  expect((await post({ text: " \n" })).body).toEqual({ filename: null, chunks: [] });
  expect(dispatcher.asked).toEqual([]);
});

test.each([
  ["id", {}],
  ["id", { id: "file_1" }],
  ["chunk_capacity", { text: "a", chunk_capacity: 0 }],
  ["overlap", { text: "a", overlap: 5 }],
])("%s is refused where it is wrong", async (param, body) => {
  await start();
  expect(await post(body)).toMatchObject({ status: 400, body: { error: { param } } });
});
