import { describe, expect, it } from "vitest";
import { bind, isLoopback, isWildcard, parseAddress } from "../../../src/config/network.ts";
import { model, noticeLines, site } from "./support.ts";

const KEY =
  'api_key_sha256 = [{ name = "me", sha256 = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD" }]';

describe("an address", () => {
  it.each([
    ["127.0.0.1:8080", { host: "127.0.0.1", port: 8080 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    [":9000", { host: "0.0.0.0", port: 9000 }],
    ["*:9000", { host: "0.0.0.0", port: 9000 }],
    ["localhost:0", { host: "localhost", port: 0 }],
    ["box.lan:1", { host: "box.lan", port: 1 }],
  ])("%s is read", (text, expected) => expect(parseAddress(text)).toEqual(expected));

  it.each([
    "8080",
    "127.0.0.1",
    "::1:80",
    "[::1]",
    "[nonsense]:80",
    "host:port",
    "host:70000",
    "http://x:1/",
    "a b:1",
    "",
  ])("%j is refused with what was expected", (text) => expect(parseAddress(text)).toMatch(/^expected /));

  it.each(["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost", "api.localhost"])(
    "%s is loopback",
    (host) => {
      expect(isLoopback(host)).toBe(true);
      expect(isWildcard(host)).toBe(false);
    },
  );
  it.each(["0.0.0.0", "::", "0:0:0:0:0:0:0:0", "::0"])("%s is a wildcard", (host) => {
    expect(isWildcard(host)).toBe(true);
    expect(isLoopback(host)).toBe(false);
  });
  it.each(["10.0.0.1", "192.168.1.5", "2001:db8::1", "128.0.0.1", "localhost.example.org", "box.lan"])(
    "%s is neither",
    (host) => {
      expect(isLoopback(host)).toBe(false);
      expect(isWildcard(host)).toBe(false);
    },
  );
});

it("without a key a wildcard is narrowed to loopback of its family", () => {
  const nobody = { hasKeys: false, allowRemote: false };
  expect(bind({ host: "0.0.0.0", port: 1 }, nobody)).toMatchObject({
    outcome: "narrowed",
    address: { host: "127.0.0.1", port: 1 },
  });
  expect(bind({ host: "::", port: 1 }, nobody)).toMatchObject({
    outcome: "narrowed",
    address: { host: "::1", port: 1 },
  });
});

it("the warning about a narrowed address says what to write", async () => {
  await using at = await site({ "config.toml": '[server]\nhttp_addr = "0.0.0.0:8080"\n' });
  const config = await at.load();
  expect(config.http).toEqual({ host: "127.0.0.1", port: 8080 });
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(
      /^warning config\.toml:2: server\.http_addr: .*only 127\.0\.0\.1:8080.*ASSISTANT_API_KEY.*api_key_sha256.*allow_remote = true/,
    ),
  ]);
});

it("a key in the file, a key in the environment, or permission by name obey a wildcard silently", async () => {
  const address = '[server]\nhttp_addr = "0.0.0.0:8080"\n';
  for (const [text, env] of [
    [`${address}${KEY}\n`, {}],
    [address, { ASSISTANT_API_KEY: "abc" }],
    [`${address}allow_remote = true\n`, {}],
  ] as const) {
    await using at = await site({ "config.toml": text });
    const config = await at.load({ env });
    expect(config.http).toEqual({ host: "0.0.0.0", port: 8080 });
    expect(config.notices).toEqual([]);
  }
});

it("an outside address without a key is a mistake", async () => {
  await using at = await site({ "config.toml": '[server]\nhttp_addr = "192.168.1.5:8080"\n' });
  expect((await at.failure()).message).toMatch(
    /config\.toml:2: server\.http_addr: 192\.168\.1\.5:8080 can be reached from other machines.*or use 127\.0\.0\.1:8080/,
  );
  expect((await at.load({ env: { ASSISTANT_API_KEY: "abc" } })).http).toEqual({ host: "192.168.1.5", port: 8080 });
});

it("keys of file and environment are hashes, the environment's own hashed when read", async () => {
  await using at = await site({ "config.toml": `[server]\n${KEY}\n` });
  const sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const config = await at.load({ env: { ASSISTANT_API_KEY: "abc" } });
  expect(config.apiKeys).toEqual([
    { name: "me", sha256 },
    { name: "environment", sha256 },
  ]);
});

it("flag over environment over file over default", async () => {
  await using at = await site({ "config.toml": '[server]\nhttp_addr = "127.0.0.1:1"\n[log]\nlevel = "warn"\n' });
  const env = { ASSISTANT_HTTP_ADDR: "127.0.0.1:2", ASSISTANT_LOG_LEVEL: "error" };
  expect(await at.load()).toMatchObject({ http: { port: 1 }, logLevel: "warn" });
  expect(await at.load({ env })).toMatchObject({ http: { port: 2 }, logLevel: "error" });
  expect(await at.load({ env, overrides: { httpAddr: "127.0.0.1:3", logLevel: "debug" } })).toMatchObject({
    http: { port: 3 },
    logLevel: "debug",
  });
  await using empty = await site({ "config.toml": "" });
  expect(await empty.load()).toMatchObject({ http: { host: "127.0.0.1", port: 8080 }, logLevel: "info" });
});

it("a wrong flag or variable is named as such", async () => {
  await using at = await site({ "config.toml": "" });
  expect((await at.failure({ overrides: { httpAddr: "nowhere" } })).message).toMatch(
    /^--http-addr: expected host:port/,
  );
  expect((await at.failure({ env: { ASSISTANT_HTTP_ADDR: "nowhere" } })).message).toMatch(
    /^ASSISTANT_HTTP_ADDR: expected host:port/,
  );
  expect((await at.failure({ env: { ASSISTANT_LOG_LEVEL: "loud" } })).message).toMatch(
    /^ASSISTANT_LOG_LEVEL: expected one of "debug"/,
  );
});

it("an empty address switches the API off", async () => {
  await using at = await site({ "config.toml": '[server]\nhttp_addr = ""\n' });
  expect((await at.load()).http).toBeNull();
});

const entry = (name: string, port: number): string =>
  `[[llama_servers]]\nname = "${name}"\nchat_model_path = "${name}.gguf"\nport = ${port}\n`;

it("two entries with one port are a mistake that names both places", async () => {
  await using at = await site({ "config.toml": `${entry("a", 9000)}${entry("b", 9000)}` });
  expect((await at.failure()).message).toBe(
    `${at.configFile}:8: llama_servers[1].port: 127.0.0.1:9000 is used twice, also by llama_servers[0].port at ${at.configFile}:4; give one of them another port`,
  );
});

it("an entry cannot take the port of the daemon itself", async () => {
  await using at = await site({ "config.toml": `${entry("a", 8080)}` });
  expect((await at.failure()).message).toMatch(
    /llama_servers\[0\]\.port: 127\.0\.0\.1:8080 is used twice, also by server\.http_addr at /,
  );
});

it("two model files with one address: the first keeps it, the second serves without", async () => {
  const text = '[server]\nsocket_addr = "127.0.0.1:8010"\n[chat]\nsource = "smollm2"\n';
  await using at = await site({ "models/a.toml": text, "models/b.toml": text });
  const config = await at.load();
  expect(model(config, "a").ownAddresses).toEqual(["127.0.0.1:8010"]);
  expect(model(config, "b").ownAddresses).toEqual([]);
  expect(noticeLines(config, at).at(0)).toBe(
    "error models/b.toml:2: server.socket_addr: 127.0.0.1:8010 is used twice, also by server.socket_addr at models/a.toml:2; give one of them another port",
  );
});

it("an entry's port is served to others only where that is allowed", async () => {
  await using at = await site({ "config.toml": `[server]\nallow_remote = true\n${entry("a", 9000)}` });
  expect(model(await at.load(), "a").ownAddresses).toEqual(["0.0.0.0:9000"]);
});

it("the API may have several addresses, each checked by its own place", async () => {
  const several = (list: string) => site({ "config.toml": `[server]\nhttp_addr = [\n  ${list}\n]\n` });
  await using two = await several('"127.0.0.1:8080",\n  "[::1]:8080"');
  expect(await two.load()).toMatchObject({
    http: { host: "127.0.0.1", port: 8080 },
    moreHttp: [{ host: "::1", port: 8080 }],
  });
  expect((await two.load()).fixed["server.http_addr"]).toBe("127.0.0.1:8080, [::1]:8080");
  expect((await two.load({ overrides: { httpAddr: "127.0.0.1:9" } })).moreHttp).toEqual([]);
  await using wrong = await several('"127.0.0.1:8080",\n  "nowhere"');
  expect((await wrong.failure()).message).toMatch(/config\.toml:4: server\.http_addr\[1\]: expected host:port/);
  await using twice = await several('"127.0.0.1:8080",\n  "0.0.0.0:8080"');
  expect((await twice.failure()).message).toMatch(/server\.http_addr\[1\]: 127\.0\.0\.1:8080 is listed twice/);
  await using none = await several("");
  expect(await none.load()).toMatchObject({ http: null, moreHttp: [] });
});
