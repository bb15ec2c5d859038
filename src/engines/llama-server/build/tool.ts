import { execa } from "execa";

/**
 * Runs a program to its end and returns its output. Rejects when it is missing, fails or takes longer than `timeoutMs`
 * (default: 30 s).
 */
export type RunTool = (program: string, args: readonly string[], timeoutMs?: number) => Promise<string>;

export interface ToolOptions {
  /** Environment instead of the inherited one. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

const environment = ({ env, signal }: ToolOptions) => ({
  ...(env ? { env: { ...env }, extendEnv: false } : {}),
  ...(signal ? { cancelSignal: signal } : {}),
  stdin: "ignore" as const,
});

const DEFAULT_TIMEOUT_MS = 30_000;

export const toolRunner =
  (options: ToolOptions): RunTool =>
  async (program, args, timeoutMs = DEFAULT_TIMEOUT_MS) =>
    (await execa(program, [...args], { ...environment(options), timeout: timeoutMs })).stdout;

/**
 * Runs a long program and reports each line of its two streams as it arrives. Rejects with execa's error if it fails.
 * The signal ends the program and all its children: cmake does not notify ninja, nor ninja the compilers.
 */
export async function streamLines(
  program: string,
  args: readonly string[],
  options: ToolOptions & { cwd: string },
  onLine: (line: string) => void,
): Promise<void> {
  const { env, signal } = options;
  // A separate process group, so that one signal reaches all of it.
  const subprocess = execa(program, [...args], {
    ...environment({ env }),
    cwd: options.cwd,
    all: true,
    buffer: false,
    detached: true,
  });
  const end = (): void => {
    try {
      if (subprocess.pid !== undefined) process.kill(-subprocess.pid, "SIGTERM");
    } catch {
      // It has ended meanwhile.
    }
  };
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end, { once: true });
  try {
    for await (const line of subprocess.iterable({ from: "all" })) onLine(line);
    await subprocess;
  } finally {
    signal?.removeEventListener("abort", end);
  }
}

export const firstLine = (text: string): string => text.split("\n", 1)[0]?.trim() ?? "";
