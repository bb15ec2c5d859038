import { chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startHub } from "../fakes/hub.ts";
import { packageRoot } from "../support/assistant.ts";
import { ggufLike } from "../support/store.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-modes-"));
  await chmod(root, 0o755);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const modeOf = async (...path: string[]): Promise<string> =>
  ((await stat(join(root, ...path))).mode & 0o777).toString(8);

/** As root with a careful umask pulls for a daemon that runs as a user of its own. */
const pullCarefully = (reference: string) =>
  execa("sh", [
    "-c",
    'umask 077; exec "$0" "$@"',
    process.execPath,
    join(packageRoot, "test/fakes/pull-once.ts"),
    reference,
    join(root, "data/models"),
  ]);

it("what a pull downloads and makes can be read by a service user, whatever the umask", async () => {
  await using hub = await startHub();
  hub.set("/m.gguf", { body: ggufLike(50_000) });
  await pullCarefully(`${hub.url}/m.gguf`);
  const paths = [["data"], ["data", "models"], ["data", "models", "m.gguf"], ["data", "models", "m.json"]];
  expect(await Promise.all(paths.map((path) => modeOf(...path)))).toEqual(["755", "755", "644", "644"]);
});
