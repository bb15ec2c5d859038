import { formatBytes } from "../../../src/models/format.ts";
import { Rate, secondsLeft } from "../../../src/models/pull/rate.ts";
import type { PullProgress } from "../../../src/models/pull.ts";

const BAR_CELLS = 20;

/** Makes one line of each progress: what happens, a bar, amounts, speed, time left. `now` is monotonic milliseconds. */
export function pullLines(
  name: string,
  now: () => number = () => performance.now(),
): (progress: PullProgress) => string {
  const rate = new Rate(now);
  return (progress) => {
    const { phase, source, bytes, totalBytes } = progress;
    if (phase === "wait") return `${name}: waiting for ${source}`;
    const perSecond = rate.add(`${phase} ${source}`, bytes);
    const left = secondsLeft(bytes, totalBytes, perSecond);
    const speed =
      phase === "download" && perSecond !== null
        ? `  ${formatBytes(perSecond)}/s${left === null ? "" : `  ${durationText(left)} left`}`
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

/** `45 s`, `3 min`, `2 h 5 min`. */
function durationText(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (seconds < 90) return `${seconds} s`;
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
