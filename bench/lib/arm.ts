import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * A program under measurement, in a process of its own. It says `{port}` once it serves, and `{cpuMs, rssBytes}` when
 * asked.
 */
export interface Arm extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /**
   * Milliseconds of CPU it has used since its start, user and system, and its memory. Rejects when it has ended or does
   * not answer.
   */
  usage(): Promise<{ readonly cpuMs: number; readonly rssBytes: number }>;
  /** `work`, or an error with the arm's last output as soon as the arm ends before `work` does. */
  whileAlive<T>(work: Promise<T>): Promise<T>;
}

const USAGE_WITHIN_MS = 10_000;
// A daemon ends its engines first.
const END_WITHIN_MS = 20_000;
const LAST_OUTPUT_MS = 300;
const KEPT_OUTPUT = 4000;

/**
 * Starts `program` with `settings` as its one argument (JSON). Rejects, with what the program printed last, when it
 * ends before it serves or does not serve within `readyWithinMs` (default: a minute); no process is left then.
 */
export async function startArm(
  name: string,
  program: string,
  settings: object,
  { readyWithinMs = 60_000 } = {},
): Promise<Arm> {
  const child = fork(program, [JSON.stringify(settings)], { stdio: ["ignore", "pipe", "pipe", "ipc"], execArgv: [] });
  let output = "";
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null);
  for (const stream of streams) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-KEPT_OUTPUT);
    });
  }
  const failure = (what: string): Error =>
    new Error(`the arm "${name}" ${what}; its last output:\n${output.trim() || "(none)"}`);
  const crashed = once(child, "exit").then(async ([code, signal]) => {
    // The last output may come after the end; what the child started may hold its streams open for ever. (There is no
    // "close" after `disconnect`.)
    await Promise.race([Promise.all(streams.map((stream) => finished(stream))), sleep(LAST_OUTPUT_MS)]).catch(() => {});
    throw failure(`ended with ${signal ?? `code ${String(code)}`}`);
  });
  crashed.catch(() => {});
  const answer = (withinMs: number, late: string): Promise<unknown> =>
    Promise.race([crashed, nextMessage(child, withinMs, () => failure(late))]);
  const end = (): Promise<void> => endChild(child, crashed);
  try {
    const { port } = (await answer(readyWithinMs, `did not serve within ${readyWithinMs} ms`)) as { port: number };
    return {
      name,
      port,
      usage: async () => {
        if (child.connected) child.send("usage");
        return (await answer(USAGE_WITHIN_MS, `did not say within ${USAGE_WITHIN_MS} ms what it uses`)) as {
          cpuMs: number;
          rssBytes: number;
        };
      },
      whileAlive: (work) => Promise.race([crashed, work]),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function nextMessage(child: ChildProcess, withinMs: number, late: () => Error): Promise<unknown> {
  const signal = AbortSignal.timeout(withinMs);
  try {
    const [message] = await once(child, "message", { signal });
    return message;
  } catch (error) {
    throw signal.aborted ? late() : error;
  }
}

/** Asks by closing the channel; what does not go is killed. */
async function endChild(child: ChildProcess, crashed: Promise<never>): Promise<void> {
  if (child.connected) child.disconnect();
  const kill = setTimeout(() => child.kill("SIGKILL"), END_WITHIN_MS);
  await crashed.catch(() => {});
  clearTimeout(kill);
}

/** To be called by a program that is an arm, once it serves. */
export function reportArm(port: number): void {
  process.send?.({ port });
  process.on("message", (message) => {
    if (message !== "usage") return;
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() });
  });
  process.on("disconnect", () => process.exit(0));
}
