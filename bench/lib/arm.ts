import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/** A program under measurement, in a process of its own. It says `{port}` once it serves, and `{cpuMs, rssBytes}` when asked. */
export interface Arm extends AsyncDisposable {
  readonly name: string;
  readonly port: number;
  /** Milliseconds of CPU it has used since its start, user and system, and its memory. */
  usage(): Promise<{ readonly cpuMs: number; readonly rssBytes: number }>;
}

/** Starts `program` with `settings` as its one argument (JSON). */
export async function startArm(name: string, program: string, settings: object): Promise<Arm> {
  const child = fork(program, [JSON.stringify(settings)], { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] });
  const ready = (await next(child)) as { port: number };
  return {
    name,
    port: ready.port,
    usage: async () => {
      child.send("usage");
      return (await next(child)) as { cpuMs: number; rssBytes: number };
    },
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, "exit");
      child.disconnect();
      await gone;
    },
  };
}

async function next(child: ChildProcess): Promise<unknown> {
  const ended = new AbortController();
  try {
    return await Promise.race([
      once(child, "message", { signal: ended.signal }).then(([message]) => message as unknown),
      once(child, "exit", { signal: ended.signal }).then(([code]) => Promise.reject(new Error(`an arm ended with code ${String(code)}`))),
    ]);
  } finally {
    ended.abort();
  }
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
