import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

const living = new Set<ChildProcess>();
let watching = false;
const killAll = (): void => {
  for (const child of living) child.kill("SIGKILL");
};

/** An engine that a bench has started does not outlive it, however that ends. */
export function endsWithUs<Child extends ChildProcess>(child: Child): Child {
  if (!watching)
    process
      .once("exit", killAll)
      .once("SIGINT", () => process.exit(130))
      .once("SIGTERM", () => process.exit(143));
  watching = true;
  living.add(child);
  child.once("exit", () => living.delete(child));
  return child;
}

/** Kills it and waits for its end. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
