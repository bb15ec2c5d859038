import type { Device } from "../../../src/core/device.ts";
import type { Engine, EngineAvailability } from "../../../src/core/engine.ts";
import { type EngineSet, supportsDevice } from "../../../src/engines/index.ts";
import type { BackgroundBuild } from "../../../src/engines/llama-server/build/background.ts";
import { type Finding, findingsOf } from "./finding.ts";

/** What a native build needs: null where it is all there, else what is missing and how to get it. */
export type ToolchainGap = { readonly missing: string; readonly remedy: string } | null;

const finding = findingsOf("engines");

/**
 * Which engines run here, and on which devices. `toolchain` is only called if there is no native engine.
 * `mustSeparate`: several keys may not share cached prompts. `background`: the last background build.
 */
export async function engineFindings(
  engines: EngineSet,
  devices: readonly Device[],
  toolchain: () => Promise<ToolchainGap>,
  mustSeparate: boolean,
  background: BackgroundBuild | null = null,
): Promise<Finding[]> {
  const states = await Promise.all(
    engines.all.map(async (engine) => ({ engine, availability: await engine.availability() })),
  );
  const findings = states.map(({ engine, availability }) => engineFinding(engine, availability));
  for (const { engine, availability } of states) {
    if (availability.available && availability.outdated !== undefined) {
      const { parts, remedy } = availability.outdated;
      findings.push(finding(engine.id, "warning", `built by another version of Assistant, with ${parts}`, remedy));
    }
    if (!mustSeparate || !availability.available || availability.separatesCaches) continue;
    findings.push(
      finding(
        engine.id,
        "warning",
        "it cannot separate the cached prompts of several keys, so nothing is reused: each turn of a conversation " +
          "is computed from its beginning",
        "Run `assistant engine build`, or set `share_prefixes = true` in [server] if all keys may share them.",
      ),
    );
  }
  const usable = states.filter(({ availability }) => availability.available);
  if (usable.length === 0)
    findings.push(
      finding(
        "engines",
        "broken",
        "no engine can be used, so no model can run",
        "Run ./install.sh again, or `assistant engine build`.",
      ),
    );
  for (const device of devices) {
    if (
      device.vendor === "cpu" ||
      usable.length === 0 ||
      usable.some(({ availability }) => supportsDevice(availability, device))
    )
      continue;
    findings.push(
      finding(
        device.id,
        "warning",
        `no installed engine supports it, so it is not used`,
        "`assistant engine build` builds one that does.",
      ),
    );
  }
  if (!states.some(({ engine, availability }) => !engine.traits.bundled && availability.available)) {
    const gap = await toolchain();
    findings.push(
      gap === null
        ? finding("toolchain", "ok", "complete: `assistant engine build` can build llama-server")
        : finding("toolchain", "info", `llama-server cannot be built: ${gap.missing}`, gap.remedy),
    );
  }
  if (background?.state === "failed")
    findings.push(
      finding(
        "native build",
        "warning",
        `llama-server could not be built in the background: ${background.problem ?? "for an unknown reason"}`,
        "Run `assistant engine build`, or set `build_in_background = false` in [engine]. " +
          "Models run on the embedded engine.",
      ),
    );
  const hint = await engines.hint();
  if (hint !== null) findings.push(finding("speed", "info", hint));
  return findings;
}

function engineFinding(engine: Engine, availability: EngineAvailability): Finding {
  // What the user's own programs are stands in the model files.
  if (availability.available && availability.path === "")
    return finding(engine.id, "ok", "runs the programs that model files name");
  if (availability.available)
    return finding(
      engine.id,
      "ok",
      `${availability.version} (${availability.backends.join(", ")}) at ${availability.path}`,
    );
  // One engine is enough; that there is none at all is said apart.
  return finding(engine.id, "info", availability.reason, availability.remedy);
}
