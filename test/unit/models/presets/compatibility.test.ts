import { describe, expect, it } from "vitest";
import type { Hardware } from "../../../../src/core/device.ts";
import {
  availableMib,
  checkCompatibility,
  fitHere,
  quantizationOfFile,
  requiredMib,
} from "../../../../src/models/presets/compatibility.ts";
import { cpuOnly, withGpus } from "../../config/support.ts";

const GIB = 2 ** 30;
const seven = { name: "seven", sizeB: 7, vramMib: {} };

/** A machine whose GPUs have so much memory, in GiB: total and free. */
function gpus(...memory: readonly (readonly [total: number, free: number])[]): Hardware {
  const hardware = withGpus(memory.length);
  const devices = hardware.devices.map((device, index) => {
    const [total, free] = memory[index] ?? [];
    return total === undefined || free === undefined
      ? device
      : { ...device, memoryTotalBytes: total * GIB, memoryFreeBytes: free * GIB };
  });
  return { ...hardware, devices };
}

describe("memory that a model needs", () => {
  it.each([
    ["q4_k_m", 4121],
    ["q5_k_m", 4945],
    ["q8_0", 7418],
    ["fp16", 16_486],
    ["Q6_K", 7418],
    ["q2_k", 4121],
    ["q9_x", 8243],
  ])("at %s is %i MiB for 7 B", (quantization, expected) => {
    expect(requiredMib(seven, quantization)).toBe(expected);
  });

  it("is what the preset states, where it does", () => {
    const stated = { ...seven, vramMib: { q8_0: 9000 } };
    expect(requiredMib(stated, "q8_0")).toBe(9000);
    expect(requiredMib(stated, "q4_k_m")).toBe(4121);
  });
});

it.each([
  ["model-Q4_K_M.gguf", "q4_k_m"],
  ["model.Q5_K_S.gguf", "q5_k_m"],
  ["model-q6_k.gguf", "q8_0"],
  ["model-Q3_K_L.gguf", "q4_k_m"],
  ["model-f16.gguf", "fp16"],
  ["sub/model-Q8_0-00001-of-00002.gguf", "q8_0"],
  ["model-mxfp4.gguf", "q4_k_m"],
  [null, "q4_k_m"],
])("the quantization of %s is %s", (file, quantization) => {
  expect(quantizationOfFile(file)).toBe(quantization);
});

it.each([
  [24, 24, 22_323],
  [24, 20, 18_227],
  [8, 1, 0],
])("of a GPU of %i GiB with %i GiB free, %i MiB are available", (total, free, expected) => {
  expect(availableMib(gpus([total, free]).devices[0] as Hardware["devices"][number])).toBe(expected);
});

describe("compatibility", () => {
  it("is with the GPU that has most room", () => {
    expect(checkCompatibility(seven, "q8_0", gpus([8, 2], [12, 12]))).toMatchObject({
      compatible: true,
      requiredMib: 7418,
      availableMib: 10_649,
      recommended: "q4_k_m",
      warning: null,
    });
  });

  it("fails with what would fit", () => {
    const found = checkCompatibility(seven, "fp16", gpus([12, 12]));
    expect(found).toMatchObject({ compatible: false, recommended: "q4_k_m" });
    expect(found.warning).toContain("16486 MB of GPU memory, and 10649 MB are available; q4_k_m fits");
  });

  it("recommends nothing where nothing fits", () => {
    expect(checkCompatibility(seven, "q4_k_m", gpus([4, 4]))).toMatchObject({ compatible: false, recommended: null });
  });

  it("is false without a GPU, whatever the memory", () => {
    const found = checkCompatibility(seven, "q4_k_m", cpuOnly(4, 64));
    expect(found).toMatchObject({ compatible: false, availableMib: 0, recommended: null });
    expect(found.warning).toContain("No GPU was found");
  });
});

it.each([
  [gpus([24, 24]), { fit: "gpu", quantization: "q4_k_m" }],
  [gpus([2, 2]), { fit: "cpu", quantization: "q4_k_m" }],
  [cpuOnly(4, 8), { fit: "cpu", quantization: "q4_k_m" }],
  [cpuOnly(4, 2), { fit: "no", quantization: null }],
])("a model runs where there is memory for it", (hardware, expected) => {
  expect(fitHere(seven, hardware)).toEqual(expected);
});
