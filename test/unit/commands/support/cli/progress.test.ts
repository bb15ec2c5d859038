import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { showProgress } from "../../../../../commands/support/cli/progress.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function stream(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, columns: 40, written, write: (text: string) => written.push(text) };
}

test("a short wait shows nothing", () => {
  const out = stream(true);
  const progress = showProgress(out, "starting");
  vi.advanceTimersByTime(200);
  progress.stop();
  expect(out.written).toEqual([]);
});

test("a terminal gets one line that is rewritten, cut to its width, and erased at the end", () => {
  const out = stream(true);
  {
    using progress = showProgress(out, "starting");
    vi.advanceTimersByTime(1100);
    progress.update("a text that is much longer than this narrow terminal is wide");
    vi.advanceTimersByTime(100);
  }
  expect(out.written.some((text) => text.includes("starting (1 s)"))).toBe(true);
  for (const text of out.written) expect(text.replace("\r\u001b[2K", "").length).toBeLessThan(40);
  expect(out.written.at(-1)).toBe("\r\u001b[2K");
});

test("a file gets a line after a second and then every ten", () => {
  const out = stream(false);
  using progress = showProgress(out, "loading");
  vi.advanceTimersByTime(25_000);
  expect(out.written).toEqual(["loading (1 s)\n", "loading (11 s)\n", "loading (21 s)\n"]);
  progress.stop();
});
