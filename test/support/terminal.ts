import { execa } from "execa";
import { eventually } from "./assistant.ts";

/** A real pseudo-terminal of a given size, held by tmux. */
export interface Terminal extends AsyncDisposable {
  /** Types text as it is. */
  type(text: string): Promise<void>;
  /** Presses keys by tmux name: `Enter`, `C-c`, `C-d`, `Up`, … */
  press(...keys: string[]): Promise<void>;
  screen(): Promise<string>;
  /** Waits until the screen matches; fails with the last screen. */
  until(pattern: RegExp, timeoutMs?: number): Promise<string>;
  resize(columns: number, rows: number): Promise<void>;
}

let count = 0;

export async function openTerminal(
  command: readonly string[],
  options: { env: Record<string, string>; columns: number; rows: number },
): Promise<Terminal> {
  const socket = `assistant-test-${process.pid}-${++count}`;
  const tmux = (...args: string[]) => execa("tmux", ["-L", socket, ...args], { env: { TERM: "xterm-256color" } });
  const environment = Object.entries(options.env).flatMap(([key, value]) => ["-e", `${key}=${value}`]);
  const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  // The pane stays after the command has ended, so that its last words and its exit code can be read.
  await tmux(
    "-f",
    "/dev/null",
    "new-session",
    "-d",
    "-x",
    String(options.columns),
    "-y",
    String(options.rows),
    ...environment,
    `${line}; echo "[exit $?]"; cat`,
  );
  const screen = async () => (await tmux("capture-pane", "-p", "-J")).stdout;
  return {
    type: async (text) => void (await tmux("send-keys", "-l", text)),
    press: async (...keys) => void (await tmux("send-keys", ...keys)),
    screen,
    until: async (pattern, timeoutMs = 60_000) => {
      let last = "";
      return eventually(
        `the screen shows ${pattern}`,
        async () => {
          last = await screen();
          return pattern.test(last) && last;
        },
        timeoutMs,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}\n--- last screen\n${last}`);
      });
    },
    resize: async (columns, rows) => void (await tmux("resize-window", "-x", String(columns), "-y", String(rows))),
    [Symbol.asyncDispose]: async () => void (await tmux("kill-server").catch(() => {})),
  };
}
