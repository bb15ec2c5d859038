import { formatBytes as decimalBytes } from "../models/format.ts";

/** Numbers as people read them. Pure; every function takes the unit its name says. */

/** `1.4 GB`, in decimal units as files of models are measured, or `-` for null. */
export const formatBytes = (bytes: number | null): string =>
  bytes === null || !Number.isFinite(bytes) ? "-" : decimalBytes(Math.max(0, bytes));

/** `3d 4h`, `2h 5m`, `5m 3s`, `12s`, `<1s`; never more than two units. `-` for null. */
export function formatDuration(milliseconds: number | null): string {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return "-";
  const seconds = Math.floor(Math.max(0, milliseconds) / 1000);
  if (seconds < 1) return "<1s";
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(" ");
}

/** Tokens per second: `134`, `8.3`, `-` where nothing was measured. */
export function formatRate(perSecond: number | null): string {
  if (perSecond === null || !Number.isFinite(perSecond)) return "-";
  return perSecond >= 99.95 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}

/** `950`, `12.4k`, `3.1M`. */
export function formatCount(count: number): string {
  if (count < 1000) return String(Math.round(count));
  return count < 999_950 ? `${(count / 1000).toFixed(1)}k` : `${(count / 1e6).toFixed(1)}M`;
}

export const formatPercent = (fraction: number): string => `${Math.round(fraction * 100)}%`;

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of `width` cells, filled to `fraction` (0–1, cut beyond) in steps of an eighth of a cell. */
export function bar(fraction: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0)) * width * 8);
  const filled = `${"█".repeat(Math.floor(eighths / 8))}${EIGHTHS[eighths % 8] ?? ""}`;
  return filled.padEnd(width, "░");
}

/** At most `width` characters; what is cut shows as `…`, at the end or, with `keepEnd`, at the front. */
export function truncate(text: string, width: number, keepEnd = false): string {
  if (text.length <= width) return text;
  if (width <= 1) return "…".slice(0, width);
  return keepEnd ? `…${text.slice(text.length - width + 1)}` : `${text.slice(0, width - 1)}…`;
}

/** `1 request`, `3 requests`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
