import { formatBytes } from "../../../src/models/format.ts";
import type { PullProgress } from "../../../src/models/pull.ts";

const BAR_CELLS = 20;
// Speed over the last seconds: a mean since the start would hide a slow line that was fast at first.
const SPEED_WINDOW_MS = 3_000;

/** Makes one line of each progress: what happens, a bar, amounts, speed. `now` is monotonic milliseconds. */
export function pullLines(
  name: string,
  now: () => number = () => performance.now(),
): (progress: PullProgress) => string {
  let samples: { at: number; bytes: number; source: string; phase: string }[] = [];
  return (progress) => {
    const { phase, source, bytes, totalBytes } = progress;
    if (phase === "wait") return `${name}: waiting for ${source}`;
    const at = now();
    samples = samples.filter(
      (sample) => sample.source === source && sample.phase === phase && at - sample.at <= SPEED_WINDOW_MS,
    );
    samples.push({ at, bytes, source, phase });
    const [oldest] = samples;
    const seconds = oldest === undefined ? 0 : (at - oldest.at) / 1000;
    const speed =
      phase === "download" && oldest !== undefined && seconds >= 0.5
        ? `  ${formatBytes((bytes - oldest.bytes) / seconds)}/s`
        : "";
    const verb = { download: "", extract: "unpacking  ", verify: "checking  " }[phase];
    return `${name}  ${verb}${amount(bytes, totalBytes)}${speed}  ${source}`;
  };
}

function amount(bytes: number, totalBytes: number | null): string {
  if (totalBytes === null || totalBytes === 0) return formatBytes(bytes);
  const share = Math.min(1, bytes / totalBytes);
  const full = Math.floor(share * BAR_CELLS);
  return `${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)} ${String(Math.floor(share * 100)).padStart(3)} %  ${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
}
