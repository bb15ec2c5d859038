/** The arms of `bench processes`: ways to put the same concurrent streams on one machine. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, installAssistant } from "../../test/support/assistant.ts";
import { callEngine } from "../../test/support/fake-engine.ts";
import { ended, endsWithUs } from "../lib/children.ts";
import type { Target } from "../workloads/stream.ts";

/** Where one stream goes. */
export interface Place {
  readonly target: Target;
  readonly model: string;
}

/** A running arm. */
export interface Running extends AsyncDisposable {
  /** The place of stream number `index`. */
  place(index: number): Place;
  /** What runs, in words: how many processes and with how many threads. */
  readonly what: string;
}

export interface Arm {
  readonly name: string;
  /** Models or replicas; 1 for the single process. */
  readonly count: number;
  readonly kind: "single" | "untuned" | "models" | "replicas";
  start(): Promise<Running>;
}

export interface ArmOptions {
  readonly model: string;
  readonly llamaServer: string;
  readonly streams: number;
  readonly counts: readonly number[];
}

const CONTEXT_TOKENS = 1024;
const START_WITHIN_MS = 60_000;

export function armsOf(options: ArmOptions): Arm[] {
  const of = (kind: Arm["kind"], start: (count: number) => Promise<Running>): Arm[] =>
    options.counts.map((count) => ({ name: `${kind} × ${count}`, count, kind, start: () => start(count) }));
  return [
    // As the daemon starts it: with default waits it would be a hundred times as slow beside any other program.
    { name: "single", count: 1, kind: "single", start: () => single(options, { GOMP_SPINCOUNT: "1000" }) },
    {
      name: "single, passive waits",
      count: 1,
      kind: "single",
      start: () => single(options, { OMP_WAIT_POLICY: "passive" }),
    },
    ...of("models", (count) => daemon(options, count, 1)),
    // No more replicas than threads are started, so that one count says it all.
    ...of("replicas", (count) => daemon(options, 1, count)).slice(0, 1),
    ...of("untuned", (count) => untuned(options, count)),
  ];
}

/** One process that has all cores and a slot for every stream. */
function single({ model, llamaServer, streams }: ArmOptions, env: Readonly<Record<string, string>>): Promise<Running> {
  const cores = availableParallelism();
  const numbers = {
    "--threads": cores,
    "--threads-batch": cores,
    "--parallel": streams,
    "--ctx-size": CONTEXT_TOKENS * streams,
  };
  const args = [
    "--model",
    model,
    ...Object.entries(numbers).flatMap(([flag, value]) => [flag, String(value)]),
    "--no-ui",
    "--offline",
  ];
  return processes(llamaServer, [args], `1 process of ${cores} threads`, env);
}

/** Started as somebody does who says nothing but the model. */
const untuned = ({ model, llamaServer }: ArmOptions, count: number): Promise<Running> =>
  processes(
    llamaServer,
    Array.from({ length: count }, () => ["--model", model]),
    `${count} processes with their defaults`,
  );

async function processes(
  program: string,
  commands: readonly (readonly string[])[],
  what: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const directory = await mkdtemp(join(tmpdir(), "bench-processes-"));
  const sockets = commands.map((_, index) => join(directory, `${index}.sock`));
  const children = commands.map((args, index) =>
    endsWithUs(
      spawn(program, [...args, "--host", sockets[index] ?? ""], { stdio: "ignore", env: { ...process.env, ...more } }),
    ),
  );
  const dispose = async (): Promise<void> => {
    await Promise.all(children.map(ended));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const [index, socketPath] of sockets.entries()) {
      await eventually(
        `${program} is healthy`,
        async () => {
          if (children[index]?.exitCode !== null) throw new Error(`${program} ended while it was starting`);
          return (await callEngine(socketPath, "/health").catch(() => null))?.status === 200;
        },
        START_WITHIN_MS,
      );
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const place = (index: number): Place => ({
    target: { socketPath: sockets[index % sockets.length] ?? "" },
    model: "bench",
  });
  return { place, what, [Symbol.asyncDispose]: dispose };
}

/** The daemon with its defaults: so many models of one replica, or one model of so many. */
async function daemon({ model, llamaServer }: ArmOptions, models: number, replicas: number): Promise<Running> {
  const names = Array.from({ length: models }, (_, index) => `bench${index}`);
  const toml = (name: string): string =>
    `[chat]\nmodel_name = "${name}"\nsource = "${model}"\nengine = "llama-server"\nctx_size = ${CONTEXT_TOKENS}\npreload = true\nreplicas = ${replicas}\n`;
  const assistant = await installAssistant({
    config: `[engine]\nllama_server_path = "${llamaServer}"\n`,
    models: Object.fromEntries(names.map((name) => [name, toml(name)])),
  });
  const dispose = async (): Promise<void> => assistant[Symbol.asyncDispose]();
  try {
    const port = Number(new URL(await assistant.serve()).port);
    // Of one model no more are started than there are threads.
    const wanted = Math.max(models, Math.min(replicas, availableParallelism()));
    const running = await eventually(
      "the instances are up",
      async () => {
        const { instances } = await assistant.status();
        return instances.filter(({ state }) => state === "ready").length >= wanted ? instances : undefined;
      },
      START_WITHIN_MS,
    );
    const what = `${running.length} instances of ${running.map(({ threads }) => threads).join(", ")} threads`;
    return {
      place: (index) => ({ target: { port }, model: names[index % models] ?? "" }),
      what,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
