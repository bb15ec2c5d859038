import { expect, it } from "vitest";
import { site } from "./support.ts";

const URL = "redis://:secret@10.0.0.5:6379/2";

it.each([
  ["", {}, null],
  [`[cluster]\nurl = "${URL}"`, {}, { url: URL }],
  ['[cluster]\nurl_env = "REDIS_URL"', { REDIS_URL: URL }, { url: URL }],
  ['[cluster]\nurl = "redis://elsewhere"', { ASSISTANT_CLUSTER_URL: "rediss://host" }, { url: "rediss://host" }],
])("%j with %j", async (text, env, expected) => {
  await using at = await site({ "config.toml": text });
  expect((await at.load({ env })).cluster).toEqual(expected);
});

it.each([
  ['[cluster]\nurl = "http://:hidden@host"', /config\.toml:2: cluster\.url: expected a URL such as/],
  ['[cluster]\nurl = "hidden"', /config\.toml:2: cluster\.url: expected a URL such as/],
  ['[cluster]\nurl_env = "NOWHERE"', /cluster\.url_env: the environment variable NOWHERE is not set/],
  ['[cluster]\nurl = "redis://a"\nurl_env = "NOWHERE"', /cluster\.url_env: `url` and `url_env` are both given/],
])("%j is refused without showing what it says", async (text, message) => {
  await using at = await site({ "config.toml": text });
  const { message: found } = await at.failure();
  expect(found).toMatch(message);
  expect(found).not.toContain("hidden");
});
