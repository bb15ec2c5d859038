import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startArm } from "../../../bench/lib/arm.ts";
import { eventually, isRunning } from "../../support/assistant.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "bench-arm-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A program that writes its pid where the test finds it, then runs `code`. */
async function program(name: string, code: string): Promise<{ readonly file: string; pid(): Promise<number> }> {
  const [file, pidFile] = [join(directory, `${name}.mjs`), join(directory, `${name}.pid`)];
  await writeFile(
    file,
    `import { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(pidFile)}, String(process.pid));\n${code}\n`,
  );
  return { file, pid: async () => Number(await readFile(pidFile, "utf8")) };
}

test("an arm that ends before it serves says with what, and what it printed last", async () => {
  const { file } = await program(
    "crash",
    'console.log("started"); console.error("no such socket"); process.exitCode = 3;',
  );
  await expect(startArm("crash", file, {})).rejects.toThrow(
    /"crash" ended with code 3; its last output:\n.*no such socket/s,
  );
});

test("an arm that never says that it serves is ended", async () => {
  const { file, pid } = await program(
    "mute",
    'console.log("thinking"); process.on("disconnect", () => process.exit(0)); setInterval(() => {}, 1000);',
  );
  await expect(startArm("mute", file, {}, { readyWithinMs: 2500 })).rejects.toThrow(
    /did not serve within 2500 ms; its last output:\nthinking/,
  );
  expect(await isRunning(await pid())).toBe(false);
});

test("an arm that dies under load ends what waits for it", async () => {
  const { file } = await program(
    "dies",
    'process.send({ port: 1 }); process.once("message", () => { console.error("out of memory"); process.exit(9); });',
  );
  await using arm = await startArm("dies", file, {});
  const work = arm.whileAlive(new Promise(() => {}));
  await expect(arm.usage()).rejects.toThrow("out of memory");
  await expect(work).rejects.toThrow(/ended with code 9/);
});

test("an arm that is done with is gone, also when nobody asked it to go", async () => {
  const { file, pid } = await program(
    "done",
    'process.send({ port: 1 }); process.on("disconnect", () => process.exit(0)); setInterval(() => {}, 1000);',
  );
  const arm = await startArm("done", file, {});
  await arm[Symbol.asyncDispose]();
  const gone = await pid();
  await eventually("the arm has gone", async () => !(await isRunning(gone)));
  // Asking twice is no harm.
  await arm[Symbol.asyncDispose]();
});
