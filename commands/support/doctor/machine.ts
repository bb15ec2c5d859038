import type { Hardware } from "../../../src/core/device.ts";
import { formatBytes } from "../../../src/models/format.ts";
import { type Finding, findingsOf } from "./finding.ts";

const MIN_NODE = 24;
const LOW_MEMORY_BYTES = 1024 ** 3;
const finding = findingsOf("machine");

/** Node, processor, memory, GPUs. Pure. */
export function machineFindings(nodeVersion: string, hardware: Hardware): Finding[] {
  const major = Number(/^v?(\d+)/u.exec(nodeVersion)?.[1] ?? 0);
  const { cpu, memoryAvailableBytes, memoryTotalBytes } = hardware;
  const memory = `${formatBytes(memoryAvailableBytes)} of ${formatBytes(memoryTotalBytes)} available`;
  const gpus = hardware.devices.filter((device) => device.vendor !== "cpu");
  return [
    major >= MIN_NODE
      ? finding("Node.js", "ok", nodeVersion)
      : finding(
          "Node.js",
          "broken",
          `${nodeVersion}; ${MIN_NODE} or newer is needed`,
          "Run ./install.sh: it brings a Node.js along.",
        ),
    finding("processor", "ok", `${cpu.model}, ${cpu.physicalCores} cores, ${cpu.logicalCores} threads`),
    memoryAvailableBytes < LOW_MEMORY_BYTES
      ? finding("memory", "warning", memory, "Close other programs: most models need more than that.")
      : finding("memory", "ok", memory),
    ...gpus.map((device) =>
      finding(
        device.id,
        "ok",
        `${device.name}, ${formatBytes(device.memoryFreeBytes)} of ${formatBytes(device.memoryTotalBytes)} free`,
      ),
    ),
    ...(gpus.length === 0 ? [finding("GPU", "info", "none found; models run on the processor")] : []),
    ...hardware.problems.map((problem) =>
      finding("GPU", "warning", problem, "Check the driver; then run `assistant doctor` again."),
    ),
  ];
}
