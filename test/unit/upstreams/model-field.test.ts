import fc from "fast-check";
import { expect, test } from "vitest";
import { withModel } from "../../../src/upstreams/model-field.ts";

const replaced = (text: string): string => withModel(Buffer.from(text), "theirs").toString();

test.each([
  ['{"model":"mine","seed":9007199254740993}', '{"model":"theirs","seed":9007199254740993}'],
  ['{ "a" : [ {"model":"inner"} ] , "model" : "m\\"x" }', '{ "a" : [ {"model":"inner"} ] , "model" : "theirs" }'],
  ['{"model":null,"x":1.0}', '{"model":"theirs","x":1.0}'],
  ['{"\\u006dodel":"mine"}', '{"\\u006dodel":"theirs"}'],
  ['{"model":"one","model":"two"}', '{"model":"theirs","model":"theirs"}'],
  ['{"messages":[]}', '{"model":"theirs","messages":[]}'],
  [" {} ", ' {"model":"theirs"} '],
  ['{"content":"\\"model\\":\\"mine\\"","model":"größer"}', '{"content":"\\"model\\":\\"mine\\"","model":"theirs"}'],
])("%s keeps every byte but its model", (before, after) => {
  expect(replaced(before)).toBe(after);
});

test("of any object nothing but the model changes", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (fields, model) => {
      const body = { ...fields, model };
      for (const text of [JSON.stringify(body), JSON.stringify(body, null, 2)])
        expect(JSON.parse(replaced(text))).toEqual({ ...(JSON.parse(text) as object), model: "theirs" });
    }),
  );
});
