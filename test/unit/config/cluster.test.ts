import { expect, it } from "vitest";
import { site } from "./support.ts";

const URL = "redis://:secret@10.0.0.5:6379/2";

it.each([
  [`[cluster]\nurl = "${URL}"`, {}, { url: URL }],
  ['[cluster]\nurl_env = "REDIS_URL"', { REDIS_URL: URL }, { url: URL }],
  ['[cluster]\nurl = "redis://elsewhere"', { ASSISTANT_CLUSTER_URL: "rediss://host" }, { url: "rediss://host" }],
])("%j with %j", async (text, env, expected) => {
  await using at = await site({ "config.toml": text });
  expect((await at.load({ env })).cluster).toMatchObject(expected);
});

it("no cluster is named where none is written", async () => {
  await using at = await site({ "config.toml": "" });
  expect((await at.load()).cluster).toBeNull();
});

it("a machine says its name, its address and the key of the others", async () => {
  const text = `[cluster]\nurl = "${URL}"\nname = "gpu-1"\nadvertise = "10.0.0.7:50051"\napi_key_env = "KEY"`;
  await using at = await site({ "config.toml": text });
  const own = { name: "gpu-1", advertise: { host: "10.0.0.7", port: 50051 } };
  expect((await at.load({ env: { KEY: "one" } })).cluster).toEqual({
    url: URL,
    ...own,
    apiKey: "one",
    lostAfterMs: 10_000,
  });
  expect((await at.load({ env: { ASSISTANT_CLUSTER_API_KEY: "two" } })).cluster?.apiKey).toBe("two");
});

it.each([
  ['[cluster]\nurl = "http://:hidden@host"', /config\.toml:2: cluster\.url: expected a URL such as/],
  [
    `[cluster]\nurl = "${URL}"\nadvertise = "0.0.0.0:50051"`,
    /cluster\.advertise: 0\.0\.0\.0:50051 is a wildcard address/,
  ],
  ['[cluster]\nurl = "hidden"', /config\.toml:2: cluster\.url: expected a URL such as/],
  ['[cluster]\nurl_env = "NOWHERE"', /cluster\.url_env: the environment variable NOWHERE is not set/],
  ['[cluster]\nurl = "redis://a"\nurl_env = "NOWHERE"', /cluster\.url_env: `url` and `url_env` are both given/],
])("%j is refused without showing what it says", async (text, message) => {
  await using at = await site({ "config.toml": text });
  const { message: found } = await at.failure();
  expect(found).toMatch(message);
  expect(found).not.toContain("hidden");
});
