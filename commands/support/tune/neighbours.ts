import { setTimeout as delay } from "node:timers/promises";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { connectIfRunning, type DaemonClient } from "../../../src/client/daemon-client.ts";
import type { Device } from "../../../src/core/device.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { CommandContext } from "../cli/context.ts";

// States in which an engine process has memory and may compute.
const UP = ["starting", "ready", "draining", "stopping"];
const LOOK_EVERY_MS = 200;

/** Ids of the daemon's instances on the device. */
export const instancesOn = (status: Pick<DaemonStatus, "instances">, device: Pick<Device, "id">): string[] =>
  status.instances
    .filter((instance) => instance.device === device.id && UP.includes(instance.state))
    .map((instance) => instance.id);

/**
 * Makes sure that the device is unused: the daemon's instances there would distort the measurements, and be slowed
 * down. With `stop` they are stopped, after their running requests. Throws `model_in_use` if there are some and they
 * may stay, or if they have not stopped after `waitMs`.
 */
export async function clearDevice(
  device: Device,
  context: CommandContext,
  { stop, waitMs }: { readonly stop: boolean; readonly waitMs: number },
): Promise<void> {
  const running = await connectIfRunning(context.paths);
  if (running === null) return;
  const found = instancesOn(running.status, device);
  if (found.length === 0) return;
  if (!stop) {
    throw new AssistantError(
      "model_in_use",
      `The daemon has ${found.join(", ")} on ${device.id}: neither a measurement nor its requests would run undisturbed.`,
      {
        param: device.id,
        remedy:
          "Add `--stop` to stop these instances first (the next request starts them again), " +
          "or wait until they are stopped as idle.",
      },
    );
  }
  for (const id of found) await running.client.act(id, "stop");
  await gone(running.client, device, waitMs);
}

async function gone(client: DaemonClient, device: Device, waitMs: number): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const left = instancesOn(await client.status(), device);
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      throw new AssistantError(
        "model_in_use",
        `${left.join(", ")} did not stop within ${Math.round(waitMs / 1000)} s, or clients started it again.`,
        {
          param: device.id,
          remedy: "Stop the daemon (`assistant stop`) while you tune.",
        },
      );
    }
    await delay(LOOK_EVERY_MS);
  }
}

/** Instances that the daemon has started on the device in the meantime, for other requests. */
export async function intruders(device: Device, context: CommandContext): Promise<readonly string[]> {
  const running = await connectIfRunning(context.paths);
  return running === null ? [] : instancesOn(running.status, device);
}
