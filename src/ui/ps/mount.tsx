import { render } from "ink";
import { PsApp } from "./app.tsx";
import type { PsPort } from "./port.ts";

/** Shows `ps` on the terminal's other screen until its user leaves it. */
export async function showPs(port: PsPort): Promise<void> {
  // The output is a terminal here. Ink by itself would draw nothing if `CI` is set in the environment, terminal or not.
  const instance = render(<PsApp port={port} />, {
    interactive: true,
    exitOnCtrlC: false,
    alternateScreen: true,
    patchConsole: false,
  });
  await instance.waitUntilExit();
}
