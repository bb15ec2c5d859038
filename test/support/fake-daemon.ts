import { type ChildProcess, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { compileCache, eventually, installAssistant, packageRoot, type TestAssistant } from "./assistant.ts";
import { emptyGguf } from "./gguf-writer.ts";

export const fakeDaemonProgram = join(packageRoot, "test/fakes/daemon.ts");

/** A command line beside a daemon without engines (test/fakes/daemon.ts). */
export interface FakeInstallation extends AsyncDisposable {
  readonly assistant: TestAssistant;
  /** Starts the fake and waits until it answers; knobs as in test/fakes/daemon.ts. */
  start(knobs?: Readonly<Record<string, string>>): Promise<ChildProcess>;
  /** A command that is not waited for. */
  spawn(args: readonly string[], input?: string): ReturnType<typeof command>;
  /** What the fake was asked to do, one line each. */
  asked(): Promise<string[]>;
}

function command(assistant: TestAssistant, args: readonly string[], input: string | undefined) {
  // An empty input ends at once, as /dev/null does.
  return execa(process.execPath, [join(packageRoot, "bin/assistant.js"), ...args], {
    env: assistant.env,
    extendEnv: false,
    reject: false,
    cwd: assistant.root,
    input: input ?? "",
  });
}

/** With a model `smollm2` whose weights are a file that nobody loads. */
export async function installWithFake(): Promise<FakeInstallation> {
  const assistant = await installAssistant();
  const record = join(assistant.root, "asked");
  const weights = join(assistant.root, "weights.gguf");
  await writeFile(weights, emptyGguf);
  await assistant.writeModel("smollm2", `[chat]\nmodel_name = "smollm2"\nsource = ${JSON.stringify(weights)}\n`);
  const children: ChildProcess[] = [];
  const asked = async (): Promise<string[]> =>
    (await readFile(record, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
  return {
    assistant,
    asked,
    async start(knobs = {}) {
      const child = spawn(process.execPath, [fakeDaemonProgram], {
        env: { ...assistant.env, NODE_COMPILE_CACHE: compileCache, FAKE_RECORD: record, ...knobs },
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      children.push(child);
      await new Promise<void>((resolve, reject) => {
        child.once("message", () => resolve());
        child.once("exit", (code) => reject(new Error(`the fake daemon ended with ${code}`)));
      });
      return child;
    },
    spawn: (args, input) => command(assistant, args, input),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill("SIGTERM");
      await eventually("the fakes have ended", () =>
        children.every((child) => child.exitCode !== null || child.signalCode !== null),
      );
      await assistant[Symbol.asyncDispose]();
    },
  };
}
