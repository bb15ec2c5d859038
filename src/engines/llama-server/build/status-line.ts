import type { BuildProgress } from "./progress.ts";

const BAR_WIDTH = 24;
// Before that the first steps, which are quicker or slower than the rest, would decide the forecast.
const FORECAST_FROM = 0.05;

const phaseTexts = {
  unpack: "Unpacking the source",
  configure: "Configuring",
  compile: "Compiling",
  install: "Installing",
  fetch: "Getting the libraries for the GPU",
  check: "Checking the new program",
} as const;

/** One line for people: `Compiling [########................] 34 %, about 3 min left`. */
export function buildStatusLine(progress: BuildProgress, compileStartedMs: number | null): string {
  const text = phaseTexts[progress.phase];
  if (progress.fraction === null) return text;
  const filled = Math.round(progress.fraction * BAR_WIDTH);
  const bar = `${"#".repeat(filled)}${".".repeat(BAR_WIDTH - filled)}`;
  return `${text} [${bar}] ${Math.floor(progress.fraction * 100)} %${forecast(progress, compileStartedMs)}`;
}

/** The same without a bar: `Compiling, 34 %`. */
export const buildPhaseText = ({ phase, fraction }: BuildProgress): string =>
  fraction === null ? phaseTexts[phase] : `${phaseTexts[phase]}, ${Math.floor(fraction * 100)} %`;

function forecast({ fraction, elapsedMs }: BuildProgress, compileStartedMs: number | null): string {
  if (fraction === null || compileStartedMs === null || fraction < FORECAST_FROM || fraction >= 1) return "";
  const leftS = ((elapsedMs - compileStartedMs) / 1000 / fraction) * (1 - fraction);
  return leftS < 60
    ? `, about ${Math.max(5, Math.ceil(leftS / 5) * 5)} s left`
    : `, about ${Math.ceil(leftS / 60)} min left`;
}
