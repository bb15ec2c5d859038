import { execa } from "execa";

/** Runs a program to its end and returns its output. Rejects when it is missing or fails. */
export type RunTool = (program: string, args: readonly string[]) => Promise<string>;

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

export const toolRunner =
  (options: ToolOptions): RunTool =>
  async (program, args) =>
    (await execa(program, [...args], { ...environment(options), timeout: 30_000 })).stdout;

/**
 * Runs a long program and hands over each line of its two streams as it comes. Rejects with execa's error when it
 * fails; when aborted the program gets SIGTERM first, so that ninja ends its compilers.
 */
export async function streamLines(
  program: string,
  args: readonly string[],
  options: ToolOptions & { cwd: string },
  onLine: (line: string) => void,
): Promise<void> {
  const subprocess = execa(program, [...args], { ...environment(options), cwd: options.cwd, all: true, buffer: false });
  for await (const line of subprocess.iterable({ from: "all" })) onLine(line);
  await subprocess;
}

export const firstLine = (text: string): string => text.split("\n", 1)[0]?.trim() ?? "";
