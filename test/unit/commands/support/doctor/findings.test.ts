import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { engineFindings } from "../../../../../commands/support/doctor/engines.ts";
import { fileFindings } from "../../../../../commands/support/doctor/files.ts";
import { machineFindings } from "../../../../../commands/support/doctor/machine.ts";
import { configFindings, daemonFindings, modelFindings } from "../../../../../commands/support/doctor/setup.ts";
import { doctorText } from "../../../../../commands/support/doctor/text.ts";
import type { Config } from "../../../../../src/core/config.ts";
import type { Device, Hardware } from "../../../../../src/core/device.ts";
import { type Engine, type EngineAvailability, traitsOf } from "../../../../../src/core/engine.ts";
import { AssistantError } from "../../../../../src/core/errors.ts";
import type { EngineSet } from "../../../../../src/engines/index.ts";
import { failedInstance, fakeStatus } from "../../../../fakes/status.ts";
import { testModel } from "../../../../support/fake-engine.ts";
import { commandSettings } from "../../../../support/openai-server.ts";

const gpu: Device = {
  id: "cuda:0",
  vendor: "nvidia",
  name: "H100",
  memoryTotalBytes: 80e9,
  memoryFreeBytes: 70e9,
  utilizationPercent: 0,
  temperatureCelsius: 40,
  env: {},
};
const hardware: Hardware = {
  devices: [gpu],
  cpu: { model: "CPU", physicalCores: 2, logicalCores: 4 },
  memoryTotalBytes: 8e9,
  memoryAvailableBytes: 4e9,
  problems: [],
};

const engine = (id: Engine["id"], availability: EngineAvailability): Engine => ({
  id,
  traits: traitsOf(id),
  availability: async () => availability,
  launch: () => {
    throw new Error("the doctor starts nothing");
  },
});
const available = (backends: string[]): EngineAvailability => ({
  available: true,
  path: "/bin/x",
  version: "1",
  backends,
  noticesDisconnects: true,
  separatesCaches: false,
});
const missing: EngineAvailability = { available: false, reason: "not there", remedy: "Build it." };
const set = (all: Engine[]): EngineSet => ({
  all,
  get: () => all[0] as Engine,
  choose: async () => all[0] as Engine,
  hint: async () => null,
});

describe("machine", () => {
  test("an old Node is broken, a driver that does not answer a warning", () => {
    const findings = machineFindings("v20.1.0", { ...hardware, problems: ["nvidia-smi failed"] });
    expect(findings.find((finding) => finding.subject === "Node.js")).toMatchObject({ level: "broken" });
    expect(findings.find((finding) => finding.found === "nvidia-smi failed")).toMatchObject({ level: "warning" });
    expect(machineFindings("v24.0.0", hardware).every((finding) => finding.level === "ok")).toBe(true);
  });
});

describe("engines", () => {
  const noGap = async () => null;

  test("none at all is broken", async () => {
    const findings = await engineFindings(
      set([engine("llama-server", missing), engine("node-llama-cpp", missing)]),
      [],
      noGap,
      false,
    );
    expect(findings.some((finding) => finding.level === "broken")).toBe(true);
  });

  test("a GPU that no engine was built for is a warning", async () => {
    const cpuOnly = await engineFindings(set([engine("llama-server", available(["cpu"]))]), [gpu], noGap, false);
    expect(cpuOnly.find((finding) => finding.subject === "cuda:0")).toMatchObject({ level: "warning" });
    const cuda = await engineFindings(set([engine("llama-server", available(["cpu", "cuda"]))]), [gpu], noGap, false);
    expect(cuda.find((finding) => finding.subject === "cuda:0")).toBeUndefined();
  });

  test("an engine that cannot keep several keys apart is a warning where they must be", async () => {
    const stock = set([
      engine("llama-server", available(["cpu"])),
      engine("node-llama-cpp", { ...available(["cpu"]), separatesCaches: true } as EngineAvailability),
    ]);
    const warned = async (mustSeparate: boolean): Promise<string[]> =>
      (await engineFindings(stock, [], noGap, mustSeparate)).flatMap(({ level, subject }) =>
        level === "warning" ? [subject] : [],
      );
    expect(await warned(true)).toEqual(["llama-server"]);
    expect(await warned(false)).toEqual([]);
  });

  test("a native engine of another version of Assistant is a warning that says how to get a new one", async () => {
    const outdated = { parts: "llama.cpp v1 instead of v2", remedy: "Run `assistant engine build`." };
    const old = set([engine("llama-server", { ...available(["cpu"]), outdated } as EngineAvailability)]);
    expect((await engineFindings(old, [], noGap, false)).filter(({ level }) => level === "warning")).toMatchObject([
      { subject: "llama-server", found: expect.stringContaining(outdated.parts), remedy: outdated.remedy },
    ]);
  });

  test("what a build lacks is said only where there is no native engine", async () => {
    const gap = async () => ({ missing: "this machine lacks cmake", remedy: "Install cmake." });
    const without = await engineFindings(
      set([engine("llama-server", missing), engine("node-llama-cpp", available(["cpu"]))]),
      [],
      gap,
      false,
    );
    expect(without.find((finding) => finding.subject === "toolchain")).toMatchObject({
      level: "info",
      remedy: "Install cmake.",
    });
    const withNative = await engineFindings(set([engine("llama-server", available(["cpu"]))]), [], gap, false);
    expect(withNative.some((finding) => finding.subject === "toolchain")).toBe(false);
  });
});

describe("files", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "assistant-doctor-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const paths = () => ({
    configFile: join(folder, "config/config.toml"),
    modelConfigDir: join(folder, "config/models"),
    pipelinesDir: join(folder, "config/pipelines"),
    dataDir: join(folder, "data"),
    weightsDir: join(folder, "data/models"),
    enginesDir: join(folder, "data/engines"),
    logDir: join(folder, "data/log"),
    runDir: join(folder, "run"),
    adminSocket: join(folder, "run/admin.sock"),
  });

  test("directories that are not there yet are fine where they can be made", async () => {
    const findings = await fileFindings(paths());
    expect(findings.filter((finding) => finding.subject !== "disk").every((finding) => finding.level === "ok")).toBe(
      true,
    );
    expect(findings.find((finding) => finding.subject === "data")?.found).toContain("(will be made)");
  });

  test("a runtime directory that others can enter is a warning", async () => {
    await mkdir(paths().runDir);
    await chmod(paths().runDir, 0o755);
    expect(await fileFindings(paths())).toContainEqual(
      expect.objectContaining({
        subject: "runtime",
        level: "warning",
        remedy: expect.stringContaining("chmod go-rwx"),
      }),
    );
  });
});

describe("configuration and daemon", () => {
  test("a configuration that cannot be read is broken, with the remedy of the error", () => {
    const [finding] = configFindings({
      error: new AssistantError("config_invalid", "line 3 is wrong", { remedy: "Correct it." }),
    });
    expect(finding).toMatchObject({ level: "broken", found: "line 3 is wrong", remedy: "Correct it." });
  });

  test("a port that another program has is broken, while a running daemon answers for itself", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await daemonFindings(null, "0.1.0", { host: "127.0.0.1", port })).toContainEqual(
        expect.objectContaining({ subject: "port", level: "broken" }),
      );
      expect(
        (await daemonFindings(fakeStatus(), "0.1.0", { host: "127.0.0.1", port })).every(
          (finding) => finding.level === "ok",
        ),
      ).toBe(true);
    } finally {
      server.close();
    }
  });

  test("a daemon that ended unexpectedly is a warning", async () => {
    const end = { what: "It ended unexpectedly.", hint: "See the log." };
    expect(await daemonFindings(null, "0.1.0", null, end)).toMatchObject([
      { level: "warning", found: "not running. It ended unexpectedly." },
    ]);
  });

  test("an older daemon and a failed instance are told", async () => {
    const findings = await daemonFindings(
      fakeStatus({ version: "0.0.9", instances: [failedInstance()] }),
      "0.1.0",
      null,
    );
    expect(findings.map((finding) => finding.level)).toEqual(["ok", "warning", "broken"]);
  });
});

test("the text groups by area, shows remedies and counts", () => {
  const lines = doctorText(
    [
      { area: "machine", subject: "Node.js", level: "ok", found: "v24", remedy: null },
      { area: "files", subject: "disk", level: "broken", found: "full", remedy: "Free some." },
    ],
    false,
  );
  expect(lines).toEqual([
    "Machine",
    "  ✓ Node.js  v24",
    "",
    "Files",
    "  ✗ disk     full",
    "             → Free some.",
    "",
    "1 thing is broken.",
  ]);
});

test("a model that another program runs has no weights to miss, and may share its cache between keys", async () => {
  const source = { type: "opaque", reference: "org/model" } as const;
  const model = testModel({ name: "foreign", engine: "command", source, command: commandSettings(["vllm", "{port}"]) });
  const paths = { dataDir: "/nowhere", weightsDir: "/nowhere" };
  const config = (keys: number): Config =>
    ({ models: [model], apiKeys: Array(keys).fill({}), sharePrefixes: false, paths }) as unknown as Config;
  expect(await modelFindings(config(1))).toMatchObject([{ subject: "foreign", level: "ok" }]);
  expect(await modelFindings(config(2))).toMatchObject([{ subject: "foreign", level: "warning" }]);
});
