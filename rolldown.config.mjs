import { globSync } from "node:fs";
import { builtinModules } from "node:module";

/**
 * Puts the sources and most packages into a few files under dist/: a command or the daemon then loads a tenth of the modules,
 * which halves how long they take to start. Every command and every program of ours keeps its own file.
 */
const root = import.meta.dirname;
const files = (patterns, options = {}) => globSync(patterns, { cwd: root, ...options });
const programs = [
  ...files("commands/**/*.ts", { exclude: (name) => name === "support" }),
  ...files([
    "commands/support/cli/main.ts",
    "commands/support/**/*-program.ts",
    "src/daemon/main.ts",
    "src/**/worker/main.ts",
    "src/**/*-program.ts",
    "src/workers/sdk/index.ts",
    "src/workers/handlers/client.ts",
  ]),
];

/** They find files or native code beside themselves, or are looked up by name. */
const LEFT_AS_THEY_ARE = [
  "@grpc/grpc-js",
  "@grpc/reflection",
  "@node-llama-cpp",
  "@oclif/plugin-autocomplete",
  "@oclif/plugin-help",
  "ipull",
  "react-devtools-core",
  "sherpa-onnx-node",
];

const ofPackage = (names) => new RegExp(`^(?:${names.map((name) => name.replace("/", "\\/")).join("|")})(?:$|/)`);

/**
 * Importing `node:http` as an ES module reads all of its exports, among them WebSocket's, for which Node.js loads the whole of
 * its fetch: 40 ms of every start. What is required is read one by one.
 */
const lazyHttp = {
  name: "lazy-http",
  resolveId: (id) => (id === "node:http" || id === "http" ? "\0node:http" : null),
  load: (id) => (id === "\0node:http" ? 'module.exports = process.getBuiltinModule("node:http");' : null),
};

/**
 * Six hundred small modules, which take half a second to find and read one by one. Libraries and metadata stay in the package, where
 * the modules look for them. They would also try the library in a process first, for another second: our engine is such a process itself.
 */
const embeddedLibrary = {
  name: "embedded-library",
  transform(code, id) {
    const [, file] = /\/node_modules\/node-llama-cpp\/(dist\/.*)$/.exec(id) ?? [];
    if (file === undefined) return null;
    const url = `new URL("../${file}", import.meta.resolve("node-llama-cpp")).href`;
    const isTrial = file.endsWith("/testBindingBinary.js");
    return {
      code: isTrial
        ? "export const testBindingBinary = () => Promise.resolve(true);"
        : code.replaceAll("import.meta.url", url),
      moduleSideEffects: false,
    };
  },
};

/** The router compiles a function for each of the four hundred parts of our routes: 35 ms of every start of the daemon. */
const plainRouter = {
  name: "plain-router",
  transform(code, id) {
    if (!id.endsWith("/node_modules/find-my-way/lib/node.js")) return null;
    const plain = code.replace(/return new Function\('path'.*/, "return (path, i) => path.startsWith(prefix, i)");
    if (plain === code) this.error("find-my-way compares prefixes in another way now");
    return { code: plain };
  },
};

export default {
  cwd: root,
  input: Object.fromEntries(programs.map((file) => [file.replace(/\.tsx?$/, ""), file])),
  platform: "node",
  external: [ofPackage(LEFT_AS_THEY_ARE), ...builtinModules.filter((name) => name !== "http")],
  plugins: [lazyHttp, embeddedLibrary, plainRouter],
  // What it warns of is a package's way to hide a require from bundlers.
  checks: { eval: false },
  transform: { define: { __dirname: "import.meta.dirname", __filename: "import.meta.filename" } },
  // Another downloader, which nothing here uses.
  treeshake: { moduleSideEffects: [{ test: /^ipull$/, external: true, sideEffects: false }] },
  output: { dir: "dist", format: "esm", entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js" },
};
