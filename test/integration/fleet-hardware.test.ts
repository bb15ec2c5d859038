import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { probeAmd } from "../../src/fleet/amd.ts";
import { probeHardware, refreshDevices } from "../../src/fleet/hardware.ts";
import { probeNvidia } from "../../src/fleet/nvidia.ts";
import { eventually, isRunning, packageRoot } from "../support/assistant.ts";

let dir = "";

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "gpus-"));
  await symlink(join(packageRoot, "test/fakes/nvidia-smi"), join(dir, "nvidia-smi"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A PATH on which the fake stands before the system's own tools. */
const machine = (more: Record<string, string> = {}): Record<string, string> => ({
  PATH: `${dir}:/usr/bin:/bin`,
  ...more,
});

const uuid = (index: number): string => `GPU-0000000${index}-aaaa-bbbb-cccc-dddddddddddd`;

test.each([1, 2, 8])("a machine with %i GPUs has one device for each, and the CPU", async (count) => {
  const { devices, problems } = await probeHardware(machine({ FAKE_GPUS: String(count) }));
  expect(problems).toEqual([]);
  expect(devices.map((device) => device.id)).toEqual([
    ...Array.from({ length: count }, (_, index) => `cuda:${index}`),
    "cpu",
  ]);
  expect(devices[count - 1]).toMatchObject({
    vendor: "nvidia",
    name: "NVIDIA H100 80GB HBM3",
    memoryTotalBytes: 81_559 * 2 ** 20,
    memoryFreeBytes: 80_000 * 2 ** 20,
    utilizationPercent: 7,
    temperatureCelsius: 41,
    env: { CUDA_VISIBLE_DEVICES: uuid(count - 1) },
  });
  expect(devices.at(-1)).toMatchObject({ vendor: "cpu", env: { CUDA_VISIBLE_DEVICES: "-1" } });
});

test("a machine without a vendor's tool has the CPU and no problem", async () => {
  const { devices, problems, cpu, memoryTotalBytes } = await probeHardware({ PATH: join(dir, "nowhere") });
  expect(devices).toHaveLength(1);
  expect(devices[0]).toMatchObject({ id: "cpu", env: {} });
  expect(problems).toEqual([]);
  expect(cpu.physicalCores).toBeGreaterThanOrEqual(1);
  expect(cpu.physicalCores).toBeLessThanOrEqual(cpu.logicalCores);
  expect(devices[0]?.memoryTotalBytes).toBe(memoryTotalBytes);
  expect(devices[0]?.memoryFreeBytes).toBeGreaterThan(0);
  expect(devices[0]?.memoryFreeBytes).toBeLessThanOrEqual(memoryTotalBytes);
});

test.each([
  ["0", ["cuda:0"]],
  ["2,0", ["cuda:2", "cuda:0"]],
  [uuid(1), ["cuda:1"]],
  ["GPU-00000003", ["cuda:3"]],
  ["", []],
  ["-1", []],
  ["1,-1,2", ["cuda:1"]],
])("the user's own CUDA_VISIBLE_DEVICES=%s holds", async (list, ids) => {
  const { devices, problems } = await probeHardware(machine({ FAKE_GPUS: "4", CUDA_VISIBLE_DEVICES: list }));
  expect(devices.map((device) => device.id)).toEqual([...ids, "cpu"]);
  expect(problems).toEqual([]);
});

test("a CUDA_VISIBLE_DEVICES that names nothing is said", async () => {
  const { devices, problems } = await probeHardware(machine({ CUDA_VISIBLE_DEVICES: "1,7,0" }));
  expect(devices.map((device) => device.id)).toEqual(["cuda:1", "cpu"]);
  expect(problems).toEqual(["CUDA_VISIBLE_DEVICES: 7 names no GPU of this machine."]);
});

test("a driver that does not answer is a problem, not a failure", async () => {
  const { devices, problems } = await probeHardware(machine({ FAKE_GPU_MODE: "fail" }));
  expect(devices.map((device) => device.id)).toEqual(["cpu"]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain("couldn't communicate with the NVIDIA driver");
});

test("an nvidia-smi that hangs is killed with its children", async () => {
  const pidFile = join(dir, "pid");
  await rm(join(dir, "nvidia-smi"));
  await writeFile(join(dir, "nvidia-smi"), `#!/bin/sh\nsleep 600 &\necho $! >${pidFile}\nwait\n`);
  await chmod(join(dir, "nvidia-smi"), 0o755);
  const { devices, problems } = await probeNvidia(machine(), 500);
  expect(devices).toEqual([]);
  expect(problems).toEqual(["NVIDIA GPUs cannot be probed: nvidia-smi did not answer within 0.5 s."]);
  const child = Number(await readFile(pidFile, "utf8"));
  await eventually("the child is gone", async () => !(await isRunning(child)));
});

test("noise among the lines is reported and the GPUs are found", async () => {
  const { devices, problems } = await probeHardware(machine({ FAKE_GPU_MODE: "noise" }));
  expect(devices.map((device) => device.id)).toEqual(["cuda:0", "cuda:1", "cpu"]);
  expect(problems[0]).toContain("infoROM is corrupted");
});

test("a GPU that shares the host's memory has that memory", async () => {
  const { devices, memoryTotalBytes } = await probeHardware(machine({ FAKE_GPU_MODE: "shared", FAKE_GPUS: "1" }));
  expect(devices[0]?.memoryTotalBytes).toBe(memoryTotalBytes);
});

test("a refresh asks only the vendors that are there, once, and keeps what does not answer", async () => {
  const calls = join(dir, "calls");
  const { devices } = await probeHardware(machine());
  const fresh = await refreshDevices(devices, machine({ FAKE_GPU_FREE_MIB: "100", FAKE_GPU_CALLS: calls }));
  expect(fresh.map((device) => device.id)).toEqual(devices.map((device) => device.id));
  expect(fresh[0]?.memoryFreeBytes).toBe(100 * 2 ** 20);
  expect((await readFile(calls, "utf8")).trim().split("\n")).toHaveLength(1);
  expect((await refreshDevices(fresh, machine({ FAKE_GPU_MODE: "fail" })))[0]).toEqual(fresh[0]);
  const { devices: none } = await probeHardware({ PATH: join(dir, "nowhere") });
  await refreshDevices(none, machine({ FAKE_GPU_CALLS: join(dir, "never") }));
  await expect(readFile(join(dir, "never"))).rejects.toThrow();
});

test("without rocm-smi AMD GPUs are those of the kernel's driver", async () => {
  const card = async (name: string, facts: Readonly<Record<string, string>>): Promise<void> => {
    const folder = join(dir, "drm", name, "device");
    await mkdir(join(folder, "hwmon/hwmon3"), { recursive: true });
    for (const [file, text] of Object.entries(facts)) await writeFile(join(folder, file), `${text}\n`);
  };
  await card("card0", { vendor: "0x8086" });
  await card("card1", { vendor: "0x1002", mem_info_vram_total: "8000000000", mem_info_vram_used: "500" });
  await card("card2", { vendor: "0x1002", mem_info_vram_total: "536870912" });
  await card("card10", {
    ...{ vendor: "0x1002", mem_info_vram_total: "4000000000", mem_info_vram_used: "0", gpu_busy_percent: "12" },
    ...{ product_name: "Radeon PRO W7900", "hwmon/hwmon3/temp1_input": "48000" },
  });
  await card("card1-HDMI-A-1", { vendor: "0x1002", mem_info_vram_total: "8000000000" });
  const { devices } = await probeAmd({ PATH: join(dir, "nowhere") }, 1_000, join(dir, "drm"));
  expect(devices).toMatchObject([
    { id: "rocm:0", name: "AMD GPU 0", memoryTotalBytes: 8e9, memoryFreeBytes: 8e9 - 500, utilizationPercent: null },
    { id: "rocm:1", name: "Radeon PRO W7900", utilizationPercent: 12, temperatureCelsius: 48 },
  ]);
  expect(devices[1]?.env).toEqual({ HIP_VISIBLE_DEVICES: "1", GGML_VK_VISIBLE_DEVICES: "1" });
  const hidden = { PATH: join(dir, "nowhere"), HIP_VISIBLE_DEVICES: "1" };
  expect((await probeAmd(hidden, 1_000, join(dir, "drm"))).devices.map(({ id }) => id)).toEqual(["rocm:1"]);
});

test("AMD GPUs are read from rocm-smi", async () => {
  const card = (total: number, used: number) => ({
    "Card Series": "AMD Instinct MI300X",
    "Unique ID": "0x5e3d9a1b",
    "VRAM Total Memory (B)": String(total),
    "VRAM Total Used Memory (B)": String(used),
    "GPU use (%)": "12",
    "Temperature (Sensor junction) (C)": "48.0",
    "Temperature (Sensor edge) (C)": "N/A",
  });
  const answer = JSON.stringify({ card0: card(1000, 250), card1: card(2000, 0), system: { "Driver version": "6.8" } });
  await writeFile(
    join(dir, "rocm-smi"),
    `#!/bin/sh\necho 'WARNING: AMD GPU device(s) is/are in a low-power state.'\nprintf '%s' '${answer}'\n`,
  );
  await chmod(join(dir, "rocm-smi"), 0o755);
  const { devices, problems } = await probeHardware(machine({ FAKE_GPUS: "0" }));
  expect(problems).toEqual([]);
  expect(devices.map((device) => device.id)).toEqual(["rocm:0", "rocm:1", "cpu"]);
  expect(devices[0]).toMatchObject({
    vendor: "amd",
    name: "AMD Instinct MI300X",
    memoryTotalBytes: 1000,
    memoryFreeBytes: 750,
    utilizationPercent: 12,
    temperatureCelsius: 48,
    env: { HIP_VISIBLE_DEVICES: "0", GGML_VK_VISIBLE_DEVICES: "0" },
  });
  expect(devices[2]?.env).toEqual({ HIP_VISIBLE_DEVICES: "-1" });
});

test("the fake prints what the fleet asks for, field by field", async () => {
  const printed = await new Promise<string>((resolve, reject) => {
    execFile(join(dir, "nvidia-smi"), [], { env: machine({ FAKE_GPUS: "1" }) }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
  });
  expect(printed.trim().split(", ")).toHaveLength(9);
});
