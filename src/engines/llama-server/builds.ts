import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { nearestNames } from "../../core/nearest.ts";
import { type BuildManifest, MANIFEST_NAME, readManifest } from "./build/manifest.ts";
import { buildsFolder, builtBinary, PROGRAM } from "./layout.ts";

/** One version of llama-server that `assistant engine build` has made. */
export interface Build {
  /** Name of its folder, such as `v0.5.0-1a2b3c4d`. */
  readonly version: string;
  readonly path: string;
  /** Null if the file next to the program is damaged or describes another one. */
  readonly manifest: BuildManifest | null;
  /** Whether it is the one that is used. */
  readonly current: boolean;
}

const isVersion = (name: string): boolean => /^[A-Za-z0-9][\w.-]*$/u.test(name) && name !== PROGRAM;

/** All builds, the newest first. */
export async function listBuilds(enginesDir: string): Promise<Build[]> {
  const folder = buildsFolder(enginesDir);
  const names = (await readdir(folder).catch(() => [])).filter(isVersion);
  const current = await currentVersion(enginesDir);
  const builds = await Promise.all(
    names.map(async (version): Promise<Build | null> => {
      const path = join(folder, version, PROGRAM);
      if ((await stat(path).catch(() => null)) === null) return null;
      return { version, path, manifest: await readManifest(path), current: version === current };
    }),
  );
  const builtAt = ({ manifest }: Build): string => manifest?.builtAt ?? "";
  return builds
    .filter((build) => build !== null)
    .sort((one, other) => builtAt(other).localeCompare(builtAt(one)) || one.version.localeCompare(other.version));
}

/** The version in use; null if there is none, or one from before versions existed. */
export async function currentVersion(enginesDir: string): Promise<string | null> {
  const target = await readlink(builtBinary(enginesDir)).catch(() => null);
  return target === null ? null : basename(dirname(target));
}

/** The build called `version`. Throws `engine_unavailable` with the nearest names. */
async function findBuild(enginesDir: string, version: string): Promise<Build> {
  const builds = await listBuilds(enginesDir);
  const found = builds.find((build) => build.version === version);
  if (found) return found;
  const near = nearestNames(
    version,
    builds.map((build) => build.version),
  );
  throw new AssistantError("engine_unavailable", `There is no build ${JSON.stringify(version)} of llama-server.`, {
    param: "VERSION",
    remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant engine list` shows the builds.",
  });
}

/** Makes `version` the one that is used from the next start of a model on. */
export async function chooseBuild(enginesDir: string, version: string): Promise<void> {
  const link = builtBinary(enginesDir);
  const temporary = `${link}.${process.pid}`;
  await rm(temporary, { force: true });
  await symlink(join(version, PROGRAM), temporary);
  await rename(temporary, link);
}

/** Gives a finished build in the folder `staging` its place. One of the same version that is there makes way. */
export async function placeBuild(enginesDir: string, staging: string, version: string): Promise<string> {
  const folder = join(buildsFolder(enginesDir), version);
  const former = join(buildsFolder(enginesDir), `.${version}.${process.pid}`);
  await rename(folder, former).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rename(staging, folder);
  // Programs that still run from it have its files open.
  await rm(former, { recursive: true, force: true });
  return join(folder, PROGRAM);
}

/**
 * Deletes builds. Throws `engine_unavailable` for an unknown one, `engine_in_use` for the one that is used, and deletes
 * none then.
 */
export async function removeBuilds(enginesDir: string, versions: readonly string[]): Promise<void> {
  const builds = await Promise.all(versions.map((version) => findBuild(enginesDir, version)));
  const used = builds.find(({ current }) => current);
  if (used) {
    throw new AssistantError("engine_in_use", `${used.version} is the build that models run on.`, {
      param: "VERSION",
      remedy: "Choose another one with `assistant engine use VERSION` first.",
    });
  }
  for (const { path } of builds) await rm(dirname(path), { recursive: true, force: true });
}

/**
 * Moves what was built before there were versions into separate folders, under the names that it can still be reached
 * by.
 */
export async function migrateBuilds(enginesDir: string): Promise<void> {
  const program = builtBinary(enginesDir);
  if ((await lstat(program).catch(() => null))?.isFile()) {
    const version = await versionOf(program, "");
    const folder = join(dirname(program), version);
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(dirname(program)))
      if (name === MANIFEST_NAME || name.endsWith(".so"))
        await rename(join(dirname(program), name), join(folder, name));
    await rename(program, join(folder, PROGRAM));
    await chooseBuild(enginesDir, version);
  }
  const stock = join(enginesDir, "llama-server-stock");
  if ((await lstat(stock).catch(() => null))?.isDirectory()) {
    const version = await versionOf(join(stock, PROGRAM), "stock-");
    await mkdir(buildsFolder(enginesDir), { recursive: true });
    await rename(stock, join(buildsFolder(enginesDir), version));
    await symlink(join("llama-server", version), stock);
  }
}

async function versionOf(program: string, infix: string): Promise<string> {
  const manifest = await readManifest(program);
  return versionName(manifest?.sourceTag ?? "unknown", infix, JSON.stringify(manifest));
}

/** Whether two versions were compiled alike, and differ at most in the libraries next to the program. */
export const compiledAlike = (version: string, other: string): boolean =>
  version.slice(version.lastIndexOf("-")) === other.slice(other.lastIndexOf("-"));

/** `v0.5.0-cuda-1a2b3c4d`: release, what is special, and a digest of everything that decides what is compiled. */
export function versionName(tag: string, infix: string, identity: string): string {
  const digest = createHash("sha256").update(identity).digest("hex").slice(0, 8);
  return `${tag.replaceAll(/[^\w.-]/gu, "-")}-${infix}${digest}`;
}
