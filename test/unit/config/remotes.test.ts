import { expect, it } from "vitest";
import { noticeLines, site } from "./support.ts";

const B = 'name = "b"\ngrpc_addr = "192.168.1.20:50051"\n';

it("remote servers are read with name, address, weight, switch and key, and need no more than an address", async () => {
  await using at = await site({
    "config.toml": `[[remote_servers]]\n${B}weight = 3\nenabled = false\napi_key = "k"\n[[remote_servers]]\ngrpc_addr = "[fd00::7]:50051"\n[[remote_servers]]\ngrpc_addr = ""\nenabled = false\n`,
  });
  expect((await at.load()).remotes).toEqual([
    { name: "b", address: { host: "192.168.1.20", port: 50051 }, weight: 3, enabled: false, apiKey: "k" },
    {
      name: expect.stringMatching(/^fd00/),
      address: { host: "fd00::7", port: 50051 },
      weight: 1,
      enabled: true,
      apiKey: null,
    },
  ]);
});

it.each([
  [`[[remote_server]]\n${B}`, "config.toml:1: remote_server: unknown key or section (did you mean `remote_servers`?)"],
  [
    '[[remote_servers]]\nname = "b"\ngrpc_adr = "b:1"',
    "config.toml:3: remote_servers[0].grpc_adr: unknown key in [remote_servers[0]] (did you mean `grpc_addr`?)",
  ],
  [
    `[remote_servers]\n${B}`,
    "config.toml:1: remote_servers: expected an array of tables, found a table; write [[remote_servers]]",
  ],
  [
    '[[remote_servers]]\nname = "b"',
    'config.toml:1: remote_servers[0]: `grpc_addr` is missing: expected the other machine\'s host:port, such as "192.168.1.20:50051"',
  ],
  [
    '[[remote_servers]]\ngrpc_addr = "http://b:50051"',
    /^config\.toml:2: remote_servers\[0\]\.grpc_addr: expected host:port .*; leave out the scheme$/,
  ],
  [
    '[[remote_servers]]\ngrpc_addr = "192.168.1.20"',
    /^config\.toml:2: remote_servers\[0\]\.grpc_addr: expected host:port .*; the port is missing$/,
  ],
  [
    '[[remote_servers]]\ngrpc_addr = "b:0"',
    "config.toml:2: remote_servers[0].grpc_addr: expected a port from 1 to 65535, found 0",
  ],
  [
    '[[remote_servers]]\ngrpc_addr = "0.0.0.0:50051"',
    /is a wildcard address; use the one at which other machines reach this one$/,
  ],
  [
    `[[remote_servers]]\n${B}weight = -1`,
    "config.toml:4: remote_servers[0].weight: expected an integer of at least 0, found -1",
  ],
  [
    `[[remote_servers]]\n${B}enabled = "yes"`,
    'config.toml:4: remote_servers[0].enabled: expected true or false, found "yes"',
  ],
  [
    `[[remote_servers]]\n${B}[[remote_servers]]\n${B}`,
    'config.toml:4: remote_servers[1]: two remote servers have the name "b", the other at config.toml:1; rename one',
  ],
  [
    '[[remote_servers]]\nname = "a b"\ngrpc_addr = "b:1"',
    /^config\.toml:2: remote_servers\[0\]\.name: "a b" cannot be a server's name: expected up to 64 letters/,
  ],
  [
    `[[remote_servers]]\n${B}api_key = "s3cret"\napi_key_env = "B_KEY"`,
    "config.toml:5: remote_servers[0].api_key_env: there is an `api_key` too; keep one of the two",
  ],
])("%j is refused with line, key, expectation and what to write", async (text, expected) => {
  await using at = await site({ "config.toml": text });
  const message = (await at.failure()).message.replaceAll(`${at.root}/`, "");
  if (typeof expected === "string") expect(message).toBe(expected);
  else expect(message).toMatch(expected);
  expect(message).not.toContain("s3cret");
});

it("a key that the environment has not is a warning: the server may need none", async () => {
  await using at = await site({ "config.toml": `[[remote_servers]]\n${B}api_key_env = "B_KEY"\n` });
  const config = await at.load();
  expect(config.remotes[0]?.apiKey).toBeNull();
  expect(noticeLines(config, at)).toContainEqual(expect.stringMatching(/^warning config\.toml:4: .*B_KEY is not set/));
});
