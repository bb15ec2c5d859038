import { createHash } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { allUp, chatBody, NodeGroup, postChat } from "../support/nodes.ts";

const nodes = new NodeGroup();
const { start } = nodes;
afterEach(nodes.end);

const keys = (...names: string[]): string => {
  const entries = names.map(
    (name) => `{ name = "${name}", sha256 = "${createHash("sha256").update(`key-of-${name}`).digest("hex")}" }`,
  );
  return `api_key_sha256 = [${entries.join(", ")}]\n`;
};

test("another machine, which knows all tenants of this one by one key, keeps their prompts apart too", async () => {
  const b = await start({ models: { river: "" }, server: keys("machine-a") });
  const a = await start({
    remotes: [{ name: "b", grpc: b.grpc, extra: 'api_key_env = "KEY_OF_B"' }],
    server: keys("ada", "bob"),
    env: { KEY_OF_B: "key-of-machine-a" },
  });
  await allUp(a);
  for (const name of ["ada", "bob", "ada"])
    expect(
      (await postChat(a.url, chatBody("river", { tokens: 1 }), { authorization: `Bearer key-of-${name}` })).status,
    ).toBe(200);
  expect(
    (await postChat(b.url, chatBody("river", { tokens: 1 }), { authorization: "Bearer key-of-machine-a" })).status,
  ).toBe(200);
  const { headers, bodies } = await b.record();
  const [ada, bob, again, own] = headers.slice(-4).map((all) => all["x-cache-scope"]);
  expect(new Set([ada, bob, own]).size).toBe(3);
  expect(again).toBe(ada);
  // The engine over there is a stock one: of one machine's tenants it is to keep nothing, of its only key's own
  // requests it may.
  expect(bodies.slice(-4).map((body) => (JSON.parse(body) as { cache_prompt?: boolean }).cache_prompt)).toEqual([
    false,
    false,
    false,
    undefined,
  ]);
});
