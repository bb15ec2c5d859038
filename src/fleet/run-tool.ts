import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { delimiter, join } from "node:path";

export type ToolResult =
  | { readonly outcome: "ok"; readonly stdout: string }
  | { readonly outcome: "missing" }
  | { readonly outcome: "failed"; readonly reason: string };

const MAX_OUTPUT = 4 * 2 ** 20;

/**
 * Runs a vendor's tool found on the PATH of `env`. Never rejects and never takes much longer than `timeoutMs`: a tool
 * that hangs in its driver, or leaves a child that holds its pipe, is killed and abandoned.
 */
export function runTool(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs: number,
): Promise<ToolResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...env, LC_ALL: "C" },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    const end = (result: ToolResult): void => {
      clearTimeout(timer);
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      resolve(result);
    };
    const timer = setTimeout(() => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has just exited.
      }
      end({ outcome: "failed", reason: `${command} did not answer within ${timeoutMs / 1000} s` });
    }, timeoutMs);
    // There are none where there was no file descriptor left for them.
    child.stdout?.setEncoding("utf8").on("data", (part: string) => {
      if (stdout.length < MAX_OUTPUT) stdout += part;
    });
    child.stderr?.setEncoding("utf8").on("data", (part: string) => {
      if (stderr.length < MAX_OUTPUT) stderr += part;
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      end(
        error.code === "ENOENT" || error.code === "ENOTDIR" || (error.code === "EACCES" && !isThere(command, env))
          ? { outcome: "missing" }
          : { outcome: "failed", reason: `${command} could not be run: ${error.message}` },
      );
    });
    child.once("close", (code, signal) => {
      if (code === 0) return end({ outcome: "ok", stdout });
      const said = (stderr.trim() || stdout.trim()).split("\n")[0]?.slice(0, 300) ?? "";
      end({
        outcome: "failed",
        reason: `${command} ended with ${signal ?? `exit code ${code}`}${said === "" ? "" : `: ${said}`}`,
      });
    });
  });
}

/**
 * If a PATH directory is inaccessible to this user, the system reports "not allowed" for a program that does not exist.
 */
function isThere(command: string, { PATH = "" }: Readonly<Record<string, string | undefined>>): boolean {
  return PATH.split(delimiter).some((directory) => {
    try {
      return statSync(join(directory, command)).isFile();
    } catch {
      return false;
    }
  });
}
