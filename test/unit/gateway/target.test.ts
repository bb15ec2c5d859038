import { expect, it } from "vitest";
import { parametersOf, parseTarget, queryOf } from "../../../src/gateway/front/target.ts";

it("gives parameters by name, decoded after the path was split", () => {
  expect(
    parametersOf("/v2/models/:model/versions/:version", parseTarget("/v2/models/a%2Fb%20c/versions/1?x=1")),
  ).toEqual({ model: "a/b c", version: "1" });
  expect(parametersOf("/v1/models/*", parseTarget("/v1/models/org/name"))).toEqual({ "*": "org/name" });
  expect(parametersOf("/v1/models", parseTarget("/v1/models"))).toEqual({});
});

it("refuses a parameter that is not UTF-8", () => {
  const target = parseTarget("/v2/models/a%2Fb");
  expect(() => parametersOf("/v2/models/:model", { ...target, escaped: "/v2/models/%ff" })).toThrow("percent escape");
});

it("reads the query, question marks included", () => {
  expect(queryOf(parseTarget("/props?model=a%20b&q=c?d")).get("q")).toBe("c?d");
  expect(queryOf(parseTarget("/props")).get("model")).toBeNull();
});
