import { expect, it } from "vitest";
import { noticeLines, site } from "./support.ts";

const SHA = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const KEY = `[[server.api_key_sha256]]\nname = "anna"\nsha256 = "${SHA}"\n`;
const RIVER = { "models/river.toml": '[chat]\nmodel_name = "river"\nmodel_alias = "stream"\nsource = "river.gguf"\n' };

it("scopes, models and limits of a key are read; a key without them has none of these words", async () => {
  await using at = await site({
    "config.toml": `${KEY}scopes = ["inference", "metrics"]\nmodels = ["river", "stream"]\nmax_in_flight = 4\nrequests_per_minute = 60\nweight = 2\n${KEY.replace("anna", "ben")}`,
    ...RIVER,
  });
  const config = await at.load();
  expect(config.apiKeys).toEqual([
    {
      name: "anna",
      sha256: SHA,
      weight: 2,
      scopes: ["inference", "metrics"],
      models: ["river", "stream"],
      maxInFlight: 4,
      requestsPerMinute: 60,
    },
    { name: "ben", sha256: SHA },
  ]);
  expect(noticeLines(config, at).filter((line) => line.includes("api_key"))).toEqual([]);
});

it.each([
  [
    'scopes = ["inferense"]',
    'scopes[0]: expected one of "inference", "metrics", "worker", "admin", found "inferense" (did you mean "inference"?)',
  ],
  [
    'scopes = "admin"',
    'scopes: expected an array, each one of "inference", "metrics", "worker", "admin", found "admin"',
  ],
  ["scope = []", "scope: unknown key in [server.api_key_sha256[0]] (did you mean `scopes`?)"],
  ["max_in_flight = 0", "max_in_flight: expected an integer of at least 1, found 0"],
  [
    "requests_per_minut = 5",
    "requests_per_minut: unknown key in [server.api_key_sha256[0]] (did you mean `requests_per_minute`?)",
  ],
  ["requests_per_minute = 1.5", "requests_per_minute: expected an integer from 1 to 1000000, found 1.5"],
])("%s is refused with file, line, key and what to write", async (line, expected) => {
  await using at = await site({ "config.toml": `${KEY}${line}\n` });
  expect((await at.failure()).message.replaceAll(`${at.root}/`, "")).toBe(
    `config.toml:4: server.api_key_sha256[0].${expected}`,
  );
});

it("a model that there is not is a warning with the nearest name, unless other machines may have it", async () => {
  const key = `${KEY}models = ["rivr"]\n`;
  await using at = await site({ "config.toml": key, ...RIVER });
  expect(noticeLines(await at.load(), at)).toContainEqual(
    'warning config.toml:4: server.api_key_sha256[0].models[0]: no model is called "rivr" (did you mean "river"?)',
  );
  await using linked = await site({
    "config.toml": `${key}[[remote_servers]]\nname = "b"\ngrpc_addr = "192.168.1.20:50051"\n`,
    ...RIVER,
  });
  expect(noticeLines(await linked.load(), linked).join("\n")).not.toContain("rivr");
});
