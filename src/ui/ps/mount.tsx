import { render } from "ink";
import { PsApp } from "./app.tsx";
import type { PsPort } from "./port.ts";

/** Shows `ps` on the terminal's other screen until its user leaves it. */
export async function showPs(port: PsPort): Promise<void> {
  const instance = render(<PsApp port={port} />, { exitOnCtrlC: false, alternateScreen: true, patchConsole: false });
  await instance.waitUntilExit();
}
