/** A GPU as `CUDA_VISIBLE_DEVICES` and similar variables may name it. */
interface Named {
  readonly index: number;
  readonly uuid: string;
}

/**
 * The devices visible with a user's own `CUDA_VISIBLE_DEVICES` (or similar), in its order. As in CUDA, an entry is an
 * index or the beginning of a UUID, the list ends at the first entry that matches nothing, and "" or "-1" hides
 * everything.
 */
export function visibleDevices<T extends Named>(
  devices: readonly T[],
  list: string | undefined,
): { visible: readonly T[]; problem: string | null } {
  if (list === undefined) return { visible: devices, problem: null };
  const visible: T[] = [];
  for (const entry of list.split(",").map((text) => text.trim())) {
    if (entry === "" || entry === "-1") return { visible, problem: null };
    const found = devices.find((device) =>
      /^\d+$/.test(entry) ? device.index === Number(entry) : device.uuid.toLowerCase().startsWith(entry.toLowerCase()),
    );
    if (!found)
      return {
        visible,
        problem: entry.startsWith("MIG")
          ? `${entry} is a slice of a GPU, which is not supported`
          : `${entry} names no GPU of this machine`,
      };
    if (!visible.includes(found)) visible.push(found);
  }
  return { visible, problem: null };
}
