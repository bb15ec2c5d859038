import { describe, expect, test } from "vitest";
import { checkFormType, decodeForm } from "../../../src/gateway/canonical/form.ts";

const sound = (bytes = 4): File => new File([Buffer.alloc(bytes, 1)], "a.wav", { type: "audio/wav" });

async function refusal(
  parts: readonly (readonly [name: string, value: string | File])[],
): Promise<{ code: string; param: string | null }> {
  const form = new FormData();
  for (const [name, value] of parts)
    if (typeof value === "string") form.append(name, value);
    else form.append(name, value);
  const request = new Request("http://localhost", { method: "POST", body: form });
  const bytes = Buffer.from(await request.arrayBuffer());
  const headers = { "content-type": request.headers.get("content-type") ?? "" };
  return decodeForm("transcription", bytes, headers)
    .then(({ checked }) => checked?.())
    .then(
      () => ({ code: "none", param: null }),
      (error: { code: string; param: string | null }) => ({ code: error.code, param: error.param }),
    );
}

describe("refused, naming the field", () => {
  test.each<[string, readonly (readonly [name: string, value: string | File])[]]>([
    ["file", [["model", "m"]]],
    ["file", [["file", sound(0)]]],
    ["audio", [["audio", sound()]]],
    [
      "response_format",
      [
        ["file", sound()],
        ["response_format", "xml"],
      ],
    ],
    [
      "temperature",
      [
        ["file", sound()],
        ["temperature", "hot"],
      ],
    ],
    [
      "timestamp_granularities[]",
      [
        ["file", sound()],
        ["timestamp_granularities[]", "letter"],
      ],
    ],
    [
      "model",
      [
        ["file", sound()],
        ["model", "a"],
        ["model", "b"],
      ],
    ],
    [
      "prompt",
      [
        ["file", sound()],
        ["prompt", "x".repeat(70_000)],
      ],
    ],
  ])("%s", async (param, parts) => {
    expect(await refusal(parts)).toEqual({ code: "invalid_request", param });
  });
});

test("a body that is not the form it says is refused", async () => {
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  for (const text of ["no form", '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'])
    await expect(decodeForm("transcription", Buffer.from(text), headers)).rejects.toMatchObject({
      code: "invalid_request",
    });
  await expect(decodeForm("transcription", Buffer.alloc(0), headers)).rejects.toMatchObject({ code: "empty_body" });
});

test("other types of content are told what is expected", () => {
  for (const type of [undefined, "application/json", "multipart/form-data-x"])
    expect(() => checkFormType(type === undefined ? {} : { "content-type": type })).toThrow(/multipart\/form-data/);
});

test("a form needs a boundary", () => {
  for (const type of ["multipart/form-data", "multipart/form-data; boundary="])
    expect(() => checkFormType({ "content-type": type })).toThrow(
      expect.objectContaining({ code: "invalid_request", message: expect.stringContaining("has no boundary") }),
    );
  expect(() => checkFormType({ "content-type": 'multipart/form-data;boundary="x"' })).not.toThrow();
});
