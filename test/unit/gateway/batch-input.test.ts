import { expect, test } from "vitest";
import { checkInput, firstModel } from "../../../src/gateway/doors/openai/batches/input.ts";
import { linesOf } from "../../../src/gateway/doors/openai/batches/lines.ts";

async function* chunks(...parts: (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part as string);
}
const all = async (content: AsyncIterable<Uint8Array>, maxBytes = 100): Promise<[number, string | null][]> => {
  const lines: [number, string | null][] = [];
  for await (const { number, text } of linesOf(content, maxBytes)) lines.push([number, text]);
  return lines;
};
const line = (id: string, model = "river"): string =>
  JSON.stringify({ custom_id: id, method: "POST", url: "/v1/embeddings", body: { model } });

test("lines come whole wherever chunks end, with their numbers", async () => {
  expect(await all(chunks("a\n\nb", "c\r", "\n", "d"))).toEqual([
    [1, "a"],
    [3, "bc\r"],
    [4, "d"],
  ]);
});

test("a line that is too long or no UTF-8 has no text, and the next is read", async () => {
  expect(await all(chunks("12", "345\nok\n", Buffer.from([0xff, 0x0a]), "12345"), 4)).toEqual([
    [1, null],
    [2, "ok"],
    [3, null],
    [4, null],
  ]);
});

test("the reading of a file ends at a hundred mistakes", async () => {
  const { errors } = await checkInput(chunks("x\n".repeat(500)), "/v1/embeddings", 1000, () => null);
  expect(errors).toHaveLength(100);
});

test("more requests than a batch may have are a mistake", async () => {
  const lines = Array.from({ length: 50_001 }, (_, index) => line(String(index)));
  const { errors } = await checkInput(chunks(lines.join("\n")), "/v1/embeddings", 1000, () => null);
  expect(errors).toMatchObject([{ code: "too_many_requests", line: 50_001 }]);
});

test("a file without requests is a mistake, and so is a model that is not there", async () => {
  const problem = { code: "model_not_found", message: "no" };
  expect(await checkInput(chunks("\n\n"), "/v1/embeddings", 1000, () => problem)).toMatchObject({
    errors: [{ code: "empty_file", line: null }],
  });
  expect(await checkInput(chunks(line("a")), "/v1/embeddings", 1000, () => problem)).toMatchObject({
    total: 1,
    errors: [{ ...problem, param: "body.model", line: 1 }],
  });
});

test("the first line names the model, where it is a request", async () => {
  expect(await firstModel(chunks(line("a", "brook")), "/v1/embeddings", 1000)).toBe("brook");
  expect(await firstModel(chunks("{}"), "/v1/embeddings", 1000)).toBe("");
});
