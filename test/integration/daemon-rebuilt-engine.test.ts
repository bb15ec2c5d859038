import { createHash } from "node:crypto";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, packageRoot } from "../support/assistant.ts";
import { engineRecord } from "../support/fake-engine.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

const key = (name: string): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(name).digest("hex")}"\n`;

/** Two GPUs, two keys, and a llama-server of our build without the patches. */
let assistant: FakeInstallation;
let tools: string;
beforeEach(async () => {
  tools = await mkdtemp(join(tmpdir(), "assistant-rebuilt-"));
  await symlink(join(packageRoot, "test/fakes/nvidia-smi"), join(tools, "nvidia-smi"));
  assistant = await installFakes({
    models: { river: { slots: 2 } },
    config: key("ada") + key("bob"),
    env: { PATH: `${tools}:${process.env["PATH"] ?? ""}`, FAKE_GPUS: "2" },
  });
  await assistant.rebuild({ patched: false });
});
afterEach(async () => {
  await assistant[Symbol.asyncDispose]();
  await rm(tools, { recursive: true, force: true });
});

const as = (name: string): { headers: Record<string, string> } => ({ headers: { authorization: `Bearer ${name}` } });

/** Bodies with this text that reached the instance's engine. */
async function bodiesAt(id: string, text: string): Promise<Record<string, unknown>[]> {
  const instance = (await assistant.state()).instances.find((found) => found.id === id);
  const { bodies } = await engineRecord(instance?.endpoint ?? "");
  return bodies.filter((body) => body.includes(text)).map((body) => JSON.parse(body) as Record<string, unknown>);
}

test("an instance that was started before the engine was rebuilt is treated as the program it runs, not as the new one", async () => {
  const url = await assistant.serve();
  const leaving = new AbortController();
  const hold = (name: string): Promise<Response> =>
    open(url, "river", `a secret of ${name} ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`, {
      ...as(name),
      stream: true,
      signal: leaving.signal,
    });
  const before = await Promise.all([hold("ada"), hold("ada")]);
  await assistant.rebuild({ patched: true });
  await assistant.reload();
  // More than the first has slots for: the second instance comes up, with the new program.
  const after = await Promise.all([hold("ada"), hold("ada")]);
  await eventually("the second instance has begun", async () => (await assistant.launches("river")) === 2);
  leaving.abort();
  await Promise.all([...before, ...after].map((answer) => answer.text().catch(() => {})));
  await eventually("both are idle", async () =>
    (await assistant.state()).instances.every(({ inFlight }) => inFlight === 0),
  );

  const answers = await Promise.all(
    Array.from({ length: 3 }, (_, index) =>
      ask(url, "river", `${index} secrets of bob ${fake({ tokens: 60, decodeDelayMs: 50 })}`, as("bob")),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  const [old, rebuilt] = [await bodiesAt("river@cuda:0", "bob"), await bodiesAt("river@cuda:1", "bob")];
  expect([old.length > 0, rebuilt.length > 0]).toEqual([true, true]);
  // The old one knows no scopes: it must keep nothing of a tenant's prompt that another tenant's could be given.
  for (const body of old) expect(body).toMatchObject({ cache_prompt: false, return_progress: true });
  for (const body of rebuilt) expect([body["cache_prompt"], body["return_progress"]]).toEqual([undefined, undefined]);
});
