import { chmod, readFile } from "node:fs/promises";
import { delimiter } from "node:path";
import { expect, it } from "vitest";
import { keyringEntry, readKeyring } from "../../../src/config/keyring.ts";
import { noticeLines, type Site, site } from "./support.ts";

const ENTRY = '[[providers]]\nname = "lab"\nbase_url = "http://a/v1"\napi_key_keyring = "https://lab.example/v1/me"\n';

/** A keyring program that is a shell script; it notes its arguments in `asked`. */
async function keyring(tool: string, script: string, files: Record<string, string> = {}) {
  const at = await site({ ...files, [tool]: `#!/bin/sh\nprintf '%s\\n' "$@" > "$(dirname "$0")/asked"\n${script}\n` });
  await chmod(at.file(tool), 0o755);
  return at;
}
const onPath = (at: Site) => ({ PATH: `${at.root}${delimiter}${process.env.PATH}` });

it("a provider's key is read from the keyring by whoever sends keys, and by nobody else", async () => {
  await using at = await keyring("secret-tool", "echo sk-kept", { "config.toml": ENTRY });
  const [read] = (await at.load({ env: onPath(at), keyring: true })).providers;
  expect(read).toMatchObject({ apiKey: "sk-kept", keySource: "the keyring entry https://lab.example/v1/me" });
  const asked = (await readFile(at.file("asked"), "utf8")).trim().split("\n");
  expect(asked).toEqual(["lookup", "service", "https://lab.example/v1", "username", "me"]);
  const left = await at.load({ env: { PATH: "/nowhere" } });
  expect([left.providers[0]?.apiKey, left.notices]).toEqual([null, []]);
});

it.each([
  ["no such entry", "exit 1", "has no key; store one with `secret-tool store --label https://lab.example/v1 service"],
  [
    "a keyring out of reach",
    "echo 'no D-Bus here' >&2; exit 1",
    "could not be read (no D-Bus here); start the daemon in",
  ],
  ["two lines", "printf 'sk-a\\nsk-b\\n'", "does not contain a single key"],
  ["endless output", "yes sk-secret", "is too large to be a key"],
])("%s is a warning that says what to do and holds no key", async (_case, script, problem) => {
  await using at = await keyring("secret-tool", script, { "config.toml": ENTRY });
  const config = await at.load({ env: onPath(at), keyring: true });
  expect(config.providers[0]?.apiKey).toBeNull();
  const [line = ""] = noticeLines(config, at);
  expect(line).toContain(`providers[0].api_key_keyring: the keyring entry https://lab.example/v1/me ${problem}`);
  expect(line).not.toContain("sk-");
});

it("a keyring that waits for its password is given up", async () => {
  await using at = await keyring("secret-tool", "exec sleep 60");
  const answer = await readKeyring(keyringEntry("a/b"), onPath(at), { platform: "linux", timeoutMs: 100 });
  expect(answer).toMatchObject({
    problem: expect.stringContaining("could not be read within 0.1 s; unlock the keyring"),
  });
});

it("a machine without the program is told which to install", async () => {
  const answer = await readKeyring(keyringEntry("a/b"), { PATH: "/nowhere" }, { platform: "linux" });
  expect(answer).toMatchObject({ problem: expect.stringContaining("apt-get install libsecret-tools") });
});

it("macOS is asked in its own words", async () => {
  await using at = await keyring("security", 'test "$3" = openai && echo sk-mac || exit 44');
  const read = (entry: string) => readKeyring(keyringEntry(entry), onPath(at), { platform: "darwin" });
  expect(await read("openai/me")).toEqual({ secret: "sk-mac" });
  expect(await readFile(at.file("asked"), "utf8")).toBe("find-generic-password\n-s\nopenai\n-a\nme\n-w\n");
  expect(await read("other/it's me")).toEqual({
    problem: "has no key; store one with `security add-generic-password -s other -a 'it'\\''s me' -w`",
  });
});

it("one place for a key is enough", async () => {
  await using at = await site({ "config.toml": `${ENTRY}api_key_env = "A"\n` });
  expect((await at.failure()).message).toMatch(/there is an `api_key_env` too; keep one of the two/);
});
