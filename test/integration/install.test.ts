import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually, packageRoot } from "../support/assistant.ts";

/** A checkout of one command, with an npm that links the packages that are here instead of fetching them. */
let root: string;
let checkout: string;
let home: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-install-"));
  // A blank and a quote: paths that a careless script breaks at.
  checkout = join(root, "it's here");
  home = join(root, "home");
  await mkdir(join(checkout, "src"), { recursive: true });
  await mkdir(home);
  for (const name of [
    "install.sh",
    ".fit-lock.cjs",
    "package.json",
    "package-lock.json",
    "rolldown.config.mjs",
    "bin",
  ]) {
    await cp(join(packageRoot, name), join(checkout, name), { recursive: true });
  }
  await mkdir(join(checkout, "commands"));
  await writeFile(join(checkout, "commands/nothing.ts"), "export default 1;\n");
  await mkdir(join(root, "bin"));
  await fakeNpm(`
# With --prefix, npm would not read the machine's own settings.
case "$*" in ci*--prefix*) echo "unexpected: $*" >&2; exit 9 ;; ci*) ;; *) echo "unexpected: $*" >&2; exit 9 ;; esac
cp package-lock.json "${root}/fitted.json"
mkdir -p node_modules/.bin
cp "${packageRoot}/node_modules/.package-lock.json" node_modules/
ln -s "${packageRoot}"/node_modules/* node_modules/
ln -s "${process.execPath}" node_modules/.bin/node`);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function fakeNpm(script: string): Promise<void> {
  await writeFile(join(root, "bin/npm"), `#!/bin/sh\necho "$*" >> "${root}/npm-calls"\n${script}\n`);
  await chmod(join(root, "bin/npm"), 0o755);
}

const npmCalls = async (): Promise<number> =>
  (await readFile(join(root, "npm-calls"), "utf8").catch(() => "")).split("\n").filter(Boolean).length;

/** As a CI does, which has nothing built in the background. */
const install = (...args: string[]) => installAs({ CI: "true" }, ...args);

async function installAs(
  more: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const env = { PATH: [join(root, "bin"), process.env["PATH"] ?? ""].join(delimiter), HOME: home, LANG: "C", ...more };
  const { exitCode, stdout, stderr } = await execa("sh", [join(checkout, "install.sh"), ...args], {
    env,
    extendEnv: false,
    reject: false,
    stdin: "ignore",
  });
  return { exitCode: exitCode ?? -1, stdout, stderr };
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

describe("install.sh", () => {
  it("explains itself and refuses what it does not know, touching nothing", async () => {
    const help = await install("--help");
    expect(help).toMatchObject({ exitCode: 0, stderr: "" });
    for (const option of ["--prefix", "--native", "--no-native", "--uninstall", "--help"])
      expect(help.stdout).toContain(option);
    expect(await install("--bogus")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("unknown option --bogus"),
    });
    expect(await install("--prefix")).toMatchObject({ exitCode: 2 });
    expect(await install("--purge")).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("--uninstall") });
    expect(await exists(join(checkout, "node_modules"))).toBe(false);
    expect(await npmCalls()).toBe(0);
  });

  it("installs, has nothing to do the second time, and compiles again when a source changes", async () => {
    const first = await install();
    expect(first).toMatchObject({ exitCode: 0, stdout: "", stderr: expect.stringContaining("~/.local/bin/assistant") });
    expect(first.stderr).toContain('export PATH="$HOME/.local/bin:$PATH"');
    const launcher = join(home, ".local/bin/assistant");
    const { version } = JSON.parse(await readFile(join(checkout, "package.json"), "utf8")) as { version: string };
    expect((await execa(launcher, ["--version"])).stdout).toBe(`assistant ${version}`);

    const began = performance.now();
    expect(await install()).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("Nothing to do") });
    expect(performance.now() - began).toBeLessThan(3000);
    expect(await npmCalls()).toBe(1);

    await writeFile(join(checkout, "commands/added.ts"), "export default 2;\n");
    await rm(join(checkout, "commands/nothing.ts"));
    expect(await install()).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("Compiling") });
    expect(await exists(join(checkout, "dist/commands/added.js"))).toBe(true);
    expect(await exists(join(checkout, "dist/commands/nothing.js"))).toBe(false);
    expect(await npmCalls()).toBe(1);
  });

  it("keeps the parts of the build before, which a running daemon may still load, and of no earlier one", async () => {
    await mkdir(join(checkout, "commands/support"));
    for (const name of ["one", "two"])
      await writeFile(join(checkout, `commands/${name}.ts`), 'export { shared } from "./support/shared.ts";\n');
    const chunks = async (): Promise<string[]> => (await readdir(join(checkout, "dist/chunks"))).sort();
    const builds: string[][] = [];
    for (const value of [1, 2, 3]) {
      await writeFile(join(checkout, "commands/support/shared.ts"), `export const shared = ${value};\n`);
      expect(await install()).toMatchObject({ exitCode: 0 });
      builds.push(await chunks());
    }
    const [first = [], second = [], third = []] = builds;
    expect(first).toHaveLength(1);
    expect(second).toEqual(expect.arrayContaining(first));
    expect(second).toHaveLength(2);
    expect(third).toHaveLength(2);
    expect(third).not.toContain(first[0]);
  });

  it("hands further arguments to the program, whose output stands alone on stdout", async () => {
    const { stdout, exitCode } = await install("--prefix", join(root, "other"), "--version");
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
    await writeFile(join(checkout, "bin/assistant.js"), "console.log(process.argv.slice(2).join())");
    expect(await install("--prefix", join(root, "other"), "show", "--json")).toMatchObject({
      exitCode: 0,
      stdout: "show,--json",
    });
  });

  it("has the native engine built in the background, unless it is told not to or runs in a CI", async () => {
    await install();
    const calls = join(root, "calls");
    await writeFile(
      join(checkout, "bin/assistant.js"),
      `import { appendFileSync } from "node:fs"; appendFileSync(${JSON.stringify(calls)}, process.argv.slice(2).join(" ") + "\\n");`,
    );
    await install("show");
    await installAs({}, "--no-native", "show");
    await installAs({}, "show");
    const made = (): Promise<string[]> => readFile(calls, "utf8").then((text) => text.trimEnd().split("\n").sort());
    await eventually("the build has been started", async () => (await made()).length === 4);
    expect(await made()).toEqual(["engine build --background --gpu", "show", "show", "show"]);
  });

  it("asks npm for nothing that this machine cannot use", async () => {
    await install("--dev");
    const { packages } = JSON.parse(await readFile(join(root, "fitted.json"), "utf8")) as {
      packages: Record<string, unknown>;
    };
    const binaries = Object.keys(packages).filter((path) => path.startsWith("node_modules/@node-llama-cpp/"));
    expect(binaries).toHaveLength(1);
    expect(binaries[0]).toContain(process.arch);
    expect(await exists(join(home, ".local"))).toBe(false);
  });

  it("keeps the installation and tells npm's reason when the packages cannot be had", async () => {
    await install();
    await fakeNpm('echo "npm error network: no route to host" >&2; exit 1');
    await writeFile(
      join(checkout, "package-lock.json"),
      `${await readFile(join(checkout, "package-lock.json"), "utf8")}\n`,
    );
    await rm(join(checkout, "node_modules/.package-lock.json"));
    expect(await install()).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("no route to host") });
    expect((await execa(join(home, ".local/bin/assistant"), ["--version"])).exitCode).toBe(0);
  });

  it("never replaces a program that is not its own", async () => {
    const other = join(root, "other/bin/assistant");
    await mkdir(join(root, "other/bin"), { recursive: true });
    await writeFile(other, "#!/bin/sh\n");
    expect(await install("--prefix", join(root, "other"))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("--prefix"),
    });
    expect(await readFile(other, "utf8")).toBe("#!/bin/sh\n");
    expect(await install("--prefix", join(root, "other"), "--uninstall")).toMatchObject({ exitCode: 0 });
    expect(await exists(other)).toBe(true);
  });

  it("uninstalls what it made, names what it leaves, and removes that too with --purge", async () => {
    await install();
    const settings = join(home, ".config/assistant");
    await mkdir(settings, { recursive: true });
    await symlink("/nowhere", join(checkout, "mine"));
    const { exitCode, stderr } = await install("--uninstall");
    expect(exitCode).toBe(0);
    expect(stderr).toContain("~/.config/assistant");
    for (const gone of [".local/bin/assistant"]) expect(await exists(join(home, gone))).toBe(false);
    for (const gone of ["node_modules", "dist"]) expect(await exists(join(checkout, gone))).toBe(false);
    expect(await exists(settings)).toBe(true);
    expect((await install("--uninstall", "--purge")).exitCode).toBe(0);
    expect(await exists(settings)).toBe(false);
    // What the packages are linked from is not ours to delete.
    expect(await exists(join(packageRoot, "node_modules/typescript/package.json"))).toBe(true);
  });
});
