import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./redis.ts";

/** A real RabbitMQ of its own, on free ports of loopback. */
export interface TestRabbit extends AsyncDisposable {
  readonly url: string;
  /** Resolves when it answers, which takes some seconds. */
  readonly ready: Promise<void>;
}

/** Debian's own command changes the user; what it starts is here, and runs as whoever tests. */
const PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server";

export async function startRabbit(): Promise<TestRabbit> {
  const directory = await mkdtemp(join(tmpdir(), "assistant-rabbit-"));
  const [port, distributionPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  await writeFile(join(directory, "enabled_plugins"), "[].\n");
  const env = {
    PATH: process.env["PATH"],
    HOME: directory,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `assistant-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: directory,
    RABBITMQ_LOG_BASE: directory,
    RABBITMQ_LOGS: "-",
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, "enabled_plugins"),
    RABBITMQ_CONFIG_FILE: join(directory, "none"),
    RABBITMQ_PID_FILE: join(directory, "pid"),
  };
  // It would start one as a daemon, which would stay.
  const epmd = spawn("epmd", ["-port", String(epmdPort), "-address", "127.0.0.1"], { stdio: "ignore", env });
  const server = spawn(PROGRAM, [], { stdio: ["ignore", "pipe", "inherit"], env, detached: true });
  const stop = async (): Promise<void> => {
    await ended(server, () => process.kill(-(server.pid ?? 0), "SIGKILL"));
    await ended(epmd, () => epmd.kill("SIGKILL"));
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  const ready = (async (): Promise<void> => {
    let output = "";
    for await (const chunk of server.stdout) {
      output += String(chunk);
      if (output.includes("completed with")) break;
    }
    if (!output.includes("completed with")) throw new Error(`RabbitMQ did not start:\n${output}`);
    server.stdout.resume();
  })();
  ready.catch(() => {});
  return { url: `amqp://guest:guest@127.0.0.1:${port}`, ready, [Symbol.asyncDispose]: stop };
}

async function ended(child: ChildProcess, kill: () => void): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  kill();
  await exited;
}
