import fc from "fast-check";
import { expect, test } from "vitest";
import { withModel } from "../../../src/upstreams/json-members.ts";

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

test.each([
  ['{"a":1,"b":[{"a":2}],"model":"m"}', '{"c":1,"b":[{"a":2}],"model":"theirs"}'],
  ['{"gone":{"x":"}"},  "a":1e400}', '{"model":"theirs",  "c":1e400}'],
  ['{ "model":"m", "gone":[1,"]"] }', '{ "model":"theirs" }'],
  ['{"gone":1,"model":"m","new":null}', '{"model":"theirs","newer":{"x":1}}'],
])("%s has other members", (before, after) => {
  const edits = { a: { name: "c" }, gone: null, new: { name: "newer", value: { x: 1 } } };
  expect(withModel(Buffer.from(before), "theirs", edits).toString()).toBe(after);
});

test("of any object nothing but the edited members changes", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (fields, gone) => {
      const { old, ...others } = fields;
      const body = { old: old ?? 1, ...others, gone };
      const text = JSON.stringify(body, null, 1);
      const edited = withModel(Buffer.from(text), "theirs", { gone: null, old: { name: "renamed" } }).toString();
      const expected = JSON.stringify({ renamed: old ?? 1, ...others, model: "theirs" });
      expect(JSON.parse(edited)).toEqual(JSON.parse(expected));
    }),
  );
});
