/**
 * Fits package-lock.json to this machine, for install.sh. Runs on any Node from 18 on, before anything is installed.
 *
 *   node .fit-lock.cjs write  LOCK_FOLDER OUT_FOLDER   writes package.json and package-lock.json without what this machine cannot use
 *   node .fit-lock.cjs check  LOCK_FOLDER              exits 0 when node_modules holds what the fitted lock says
 *
 * Options: --dev (development packages too), --own-node (this machine's Node serves, bring none).
 * Every package keeps the version and the digest of the lock; npm has no option to leave a single one out.
 */
const { existsSync, mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const engineBinaries = "@node-llama-cpp/";
const nodeBinaries = "node-linux-";

const [command, lockFolder, outFolder] = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const option = (name) => process.argv.includes(name);
const read = (file) => JSON.parse(readFileSync(file, "utf8"));

const manifest = read(join(lockFolder, "package.json"));
const lock = read(join(lockFolder, "package-lock.json"));
const wanted = wantedBinaries();
fitLock();
if (command === "write") write();
else process.exitCode = check() ? 0 : 1;

function wantedBinaries() {
  const machine = `${process.platform}-${process.arch}`;
  const engine = {
    "linux-x64": "linux-x64",
    "linux-arm64": "linux-arm64",
    "linux-arm": "linux-armv7l",
    "linux-riscv64": "linux-riscv64",
  };
  engine["darwin-arm64"] = "mac-arm64-metal";
  engine["darwin-x64"] = "mac-x64";
  const names = new Set([`${engineBinaries}${engine[machine]}`]);
  if (!option("--own-node")) names.add(`${nodeBinaries}${process.arch}`);
  return names;
}

function fitLock() {
  const unwanted = (name) => (name.startsWith(engineBinaries) || name.startsWith(nodeBinaries)) && !wanted.has(name);
  for (const path of Object.keys(lock.packages)) {
    if (unwanted(path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length))) delete lock.packages[path];
  }
  for (const [path, entry] of [["", manifest], ...Object.entries(lock.packages)]) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (unwanted(name)) delete entry.optionalDependencies[name];
      else if (!locked(path, name)) completeOptional(entry, name, version);
    }
  }
}

/** Whether the lock has `name` where Node would find it from the package at `path`. */
function locked(path, name) {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${folder ? `${folder}/` : ""}node_modules/${name}`]) return true;
    if (folder === "") return false;
  }
}

/**
 * A lock that was written without access to the packages of another platform lacks them, and npm then refuses it
 * everywhere. What this machine needs is added at the exact version its parent asks for; the rest is left out.
 */
function completeOptional(entry, name, version) {
  if (wanted.has(name)) lock.packages[`node_modules/${name}`] = { version, optional: true };
  else delete entry.optionalDependencies[name];
}

function write() {
  mkdirSync(outFolder, { recursive: true });
  writeFileSync(join(outFolder, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(outFolder, "package-lock.json"), JSON.stringify(lock));
}

function check() {
  const file = join(lockFolder, "node_modules", ".package-lock.json");
  if (!existsSync(file)) return false;
  const installed = read(file).packages;
  return Object.entries(lock.packages).every(([path, entry]) => {
    if (path === "" || (entry.dev && !option("--dev"))) return true;
    const have = installed[path];
    if (have) return have.version === entry.version && have.integrity === entry.integrity;
    return (entry.optional || entry.devOptional) && !wanted.has(path.slice("node_modules/".length));
  });
}
