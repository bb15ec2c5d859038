import { expect, test } from "vitest";
import { ClientIds } from "../../../src/gateway/front/client-ids.ts";

test("a client finds its own running request by the id that it chose, and no other's", () => {
  const ids = new ClientIds();
  ids.begin("ada", "same", "req_1");
  ids.begin("bob", "same", "req_2");
  expect([ids.find("ada", "same"), ids.find("bob", "same"), ids.find("eve", "same")]).toEqual([
    "req_1",
    "req_2",
    "same",
  ]);
  // The same once more, while the first one runs: the later one counts, also when the first has ended.
  ids.begin("ada", "same", "req_3");
  ids.end("ada", "same", "req_1");
  expect(ids.find("ada", "same")).toBe("req_3");
  ids.end("ada", "same", "req_3");
  expect(ids.find("ada", "same")).toBe("same");
});
