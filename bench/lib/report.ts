import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
export const benchRoot = join(here, "..");

/** One measured figure; printed as a JSON line and kept. */
export interface Row {
  readonly bench: string;
  readonly measure: string;
  readonly [field: string]: unknown;
}

/** Prints rows as they come and keeps them, with versions, in bench/results/NAME.json. */
export class Report {
  readonly #name: string;
  readonly #rows: Row[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  add(row: Row): void {
    this.#rows.push(row);
    console.log(JSON.stringify(row));
  }

  /** Writes the results; returns the file. */
  save(extra: object = {}): string {
    const directory = join(benchRoot, "results");
    mkdirSync(directory, { recursive: true });
    const file = join(directory, `${this.#name}.json`);
    writeFileSync(file, `${JSON.stringify({ ...circumstances(), ...extra, rows: this.#rows }, null, 1)}\n`);
    return file;
  }
}

const beganAt = performance.now();

/** A line for people who wait, with the time since the start, beside the results (stderr). */
export function progress(text: string): void {
  const seconds = Math.round((performance.now() - beganAt) / 1000);
  console.error(`[${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}] ${text}`);
}

function circumstances(): object {
  const { version } = JSON.parse(readFileSync(join(benchRoot, "../package.json"), "utf8")) as { version: string };
  return {
    at: new Date().toISOString(),
    version,
    commit: commit(),
    node: process.version,
    cpu: cpus()[0]?.model ?? "",
    cores: cpus().length,
  };
}

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      cwd: benchRoot,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return null;
  }
}

/** A table for people: the first row is the heading. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("   "),
    );
}
