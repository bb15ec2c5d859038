import { createHash } from "node:crypto";
import { copyFile, mkdir, open, rename, rm, stat, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";

const KEPT = 3;
const MAX_LINE = 300;
const TAIL_BYTES = 32 * 1024;

/** A file name for an instance id, which may contain a model name with slashes. Distinct ids get distinct names. */
export function logFileOf(logDir: string, instanceId: string): string {
  const name = instanceId.replace(/[:#]/g, "-");
  const safe = name.replace(/[^A-Za-z0-9._@-]/g, "_");
  const suffix = safe === name ? "" : `-${createHash("sha256").update(instanceId).digest("hex").slice(0, 6)}`;
  return join(logDir, `${safe}${suffix}.log`);
}

/**
 * Before a start: creates the directory and rotates a file larger than `maxBytes`. Returns where new output will begin.
 */
export async function prepareLog(file: string, maxBytes: number): Promise<number> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const size = await sizeOf(file);
  if (size < maxBytes) return size;
  await shift(file);
  await rename(file, `${file}.1`);
  return 0;
}

/** While the engine writes: it appends, so its file can be copied and truncated. Returns whether that was due. */
export async function trimLog(file: string, maxBytes: number): Promise<boolean> {
  if ((await sizeOf(file)) < maxBytes) return false;
  await shift(file);
  await copyFile(file, `${file}.1`);
  await truncate(file);
  return true;
}

async function shift(file: string): Promise<void> {
  await rm(`${file}.${KEPT}`, { force: true });
  for (let index = KEPT - 1; index >= 1; index--)
    await rename(`${file}.${index}`, `${file}.${index + 1}`).catch(() => {});
}

/** The last `lines` lines, at most 32 KiB, and nothing before byte `from`. "" if there is no file. */
export async function tailOf(file: string, lines: number, from = 0): Promise<string> {
  const size = await sizeOf(file);
  const start = Math.max(from > size ? 0 : from, size - TAIL_BYTES);
  if (size === start) return "";
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    const text = buffer.toString("utf8", 0, bytesRead);
    return text.trimEnd().split("\n").slice(-lines).join("\n");
  } finally {
    await handle.close();
  }
}

const telling =
  /error|fail|fatal|abort|assert|out of memory|cannot|can't|couldn't|could not|unable|exception|not found|no such|invalid|unknown|refused|denied|in use/i;
// These lines report that something went wrong, but not what.
const general =
  /exiting due to|cleaning up before exit|failed to load model|unable to load model|failed to initialize/i;

// A GPU library's own message; the location follows it.
const named = /\b(?:CUDA|ROCm|HIP|MUSA|Vulkan) error: \S/;
// A source location, as llama.cpp prints it when it aborts.
const frame = /\(.*\+0x[0-9a-f]+\)\s*\[0x[0-9a-f]+\]$/;

/**
 * The line that best explains why an engine exited: its last error, otherwise its last line, without timestamps. Null
 * if it printed nothing.
 */
export function tellingLine(log: string): string | null {
  const lines = log
    .split("\n")
    .map((line) => line.replace(/^[\d.:\-TZ ]+ ?([A-Z] )?/, "").trim())
    .filter((line) => line !== "" && !frame.test(line));
  const complaints = lines.filter((line) => telling.test(line));
  const line =
    complaints.findLast((text) => named.test(text)) ??
    complaints.findLast((text) => !general.test(text)) ??
    complaints.at(-1) ??
    lines.at(-1);
  if (line === undefined) return null;
  return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
}

const sizeOf = async (file: string): Promise<number> =>
  stat(file).then(
    (facts) => facts.size,
    () => 0,
  );
