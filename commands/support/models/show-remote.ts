import { memoryForModels } from "../../../src/core/device.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { estimateApart } from "../../../src/models/estimates.ts";
import { previewModel } from "../../../src/models/preview.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";
import { loadOf } from "./load-settings.ts";
import { orderOf } from "./presets.ts";
import type { ShownModel } from "./shown.ts";

export interface RemoteOptions {
  readonly name: string | null;
  readonly allowPrivate: boolean;
}

/** What a pull of this reference would bring, from the headers of its files. Throws as `pull` does. */
export async function shownRemote(
  reference: string,
  context: CommandContext,
  { name, allowPrivate }: RemoteOptions,
): Promise<ShownModel> {
  const hardware = await probeHardware(context.env);
  const order = await orderOf(reference, context);
  const options = {
    store: modelStore(context.paths),
    env: context.env,
    name: name ?? order.name,
    allowPrivate,
    memoryBytes: memoryForModels(hardware),
  };
  const { preview, looked } = await previewModel(order.reference, options, async (file, facts) => {
    const load = await loadOf(null, facts, { hardware, config: null, context });
    return { load, memory: await estimateApart(file, load, process.execPath) };
  });
  const [file, ...others] = preview.files;
  return {
    name: preview.name,
    aliases: [],
    source: preview.reference,
    program: null,
    file: null,
    files: preview.files.map((one) => one.name),
    bytes: preview.bytes,
    sha256: others.length > 0 ? null : (file?.sha256 ?? null),
    licence: preview.licence ?? preview.facts?.licence ?? null,
    origin: null,
    facts: preview.facts,
    capabilities: preview.capabilities,
    problem: preview.problem,
    loaded: false,
    configFile: null,
    load: looked?.load ?? null,
    memory: looked?.memory ?? null,
    instances: [],
    providers: [],
  };
}
