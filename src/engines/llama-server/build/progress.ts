export type BuildPhase = "unpack" | "configure" | "compile" | "install" | "fetch" | "check";

export interface BuildProgress {
  readonly phase: BuildPhase;
  /** 0–1 of the phase, or null if unknown. */
  readonly fraction: number | null;
  /** Milliseconds since the build began. */
  readonly elapsedMs: number;
}

/** Share of the work that is done, from a line of ninja (`[12/340] …`) or make (`[ 42%] …`); null for other lines. */
export function fractionOf(line: string): number | null {
  const steps = /^\[(\d+)\/(\d+)\]/u.exec(line);
  if (steps) return Number(steps[2]) > 0 ? Math.min(1, Number(steps[1]) / Number(steps[2])) : null;
  const percent = /^\[\s*(\d{1,3})%\]/u.exec(line);
  return percent ? Math.min(1, Number(percent[1]) / 100) : null;
}

/** The lines that explain why a build failed: errors of compilers and linkers, otherwise the last ones. */
export function reasonOf(lines: readonly string[], limit = 5): string {
  const telling = lines.filter((line) =>
    /\berror\b[: ]|CMake Error|undefined reference|No space left|Killed/iu.test(line),
  );
  return (telling.length > 0 ? telling.slice(0, limit) : lines.filter((line) => line.trim() !== "").slice(-limit)).join(
    "\n",
  );
}
