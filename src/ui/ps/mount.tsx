import { render } from "ink";
import { PsApp } from "./app.tsx";
import type { PsPort } from "./port.ts";

/** Shows `ps` on the terminal's other screen until its user leaves it. */
export async function showPs(port: PsPort): Promise<void> {
  // Who comes here has a terminal. Ink alone would draw nothing where the environment has `CI` set, terminal or not.
  const instance = render(<PsApp port={port} />, {
    interactive: true,
    exitOnCtrlC: false,
    alternateScreen: true,
    patchConsole: false,
  });
  await instance.waitUntilExit();
}
