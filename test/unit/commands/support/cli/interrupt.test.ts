import { afterEach, expect, test, vi } from "vitest";
import { EXIT_INTERRUPTED, interruptible } from "../../../../../commands/support/cli/interrupt.ts";

afterEach(() => vi.restoreAllMocks());

test.each(["SIGINT", "SIGTERM"] as const)("%s aborts the work, and a second signal ends the process", (name) => {
  const exit = vi.spyOn(process, "exit").mockImplementation((() => {}) as never);
  using interrupt = interruptible();
  expect(interrupt.signal.aborted).toBe(false);
  process.emit(name, name);
  expect(interrupt.signal.aborted).toBe(true);
  expect(exit).not.toHaveBeenCalled();
  process.emit(name, name);
  expect(exit).toHaveBeenCalledWith(EXIT_INTERRUPTED);
});

test("afterwards signals do what they did before", () => {
  const before = process.listenerCount("SIGINT");
  {
    using _interrupt = interruptible();
    expect(process.listenerCount("SIGINT")).toBe(before + 1);
  }
  expect(process.listenerCount("SIGINT")).toBe(before);
});
