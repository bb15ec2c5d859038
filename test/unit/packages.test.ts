import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../support/assistant.ts";

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

const read = <T>(name: string): T => JSON.parse(readFileSync(join(packageRoot, name), "utf8")) as T;
const lock = read<{ packages: Record<string, LockEntry> }>("package-lock.json").packages;
const manifest = read<{
  gpuBinaries: { version: string; integrity: Record<string, string> };
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}>("package.json");

/** A choice between licences is one of ours if any of them is. */
const permissive =
  /(?:^\(?|\bOR )(?:MIT|MIT-0|ISC|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|BlueOak-1\.0\.0|CC0-1\.0|0BSD|Python-2\.0|Unlicense)\b/u;

describe("the packages of an installation", () => {
  it("are all under permissive licences", () => {
    const others = Object.entries(lock)
      .filter(([path, entry]) => path !== "" && !entry.dev && !permissive.test(entry.license ?? "none"))
      .map(([path, entry]) => `${path}: ${entry.license}`);
    expect(others).toEqual([]);
  });

  it("are pinned to exact versions", () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^(?:npm:[^@]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/u.test(version),
    );
    expect(loose).toEqual([]);
  });

  it("have GPU binaries that fit the node-llama-cpp of the lock", () => {
    expect(manifest.gpuBinaries.version).toBe(lock["node_modules/node-llama-cpp"]?.version);
    for (const digest of Object.values(manifest.gpuBinaries.integrity))
      expect(digest).toMatch(/^sha512-[A-Za-z0-9+/]{86}==$/u);
  });
});
