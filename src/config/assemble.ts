import type { ListenAddress } from "../core/config.ts";
import { runsKind, traitsOf } from "../core/engine.ts";
import { capabilitiesOfKind, type ModelSpec, modelKinds } from "../core/model.ts";
import { commandOf } from "./command.ts";
import { defaults, type Machine } from "./defaults.ts";
import { at, type ModelDraft, type PlacedAddress, type PlacedName, type ReadContext } from "./draft.ts";
import { dottedKey, type Place, placeText } from "./findings.ts";
import { fingerprint } from "./fingerprint.ts";
import { llamaSettings } from "./llama.ts";
import { addressText, isWildcard } from "./network.ts";
import { pathIn } from "./paths.ts";
import { providerSpec } from "./provider-model.ts";
import { deviceSetting, loadSettings, type SectionContext, samplingDefaults } from "./section.ts";
import { speechLoad, speechSettings, speechSource } from "./speech.ts";

/** Names become parts of instance ids, log lines and headers. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$/;
export const NAME_TEXT = "up to 128 letters, digits and . _ : + -, beginning with a letter or digit";

export const isName = (name: string): boolean => NAME.test(name);

export interface AssembleContext extends ReadContext {
  readonly machine: Machine;
  readonly llamaServerPath: string | null;
  /** Of all instances together. */
  readonly hostCacheBudgetMib: number;
  /** Files of the models that are served now, by name. */
  readonly namesInForce: ReadonlyMap<string, string>;
  /** Addresses of the daemon itself. */
  readonly taken: readonly PlacedAddress[];
}

/** Gives every draft its name, aliases and addresses, first come first served, and turns it into a model. */
export function assemble(context: AssembleContext, drafts: readonly ModelDraft[]): ModelSpec[] {
  const names = new Map<string, Place>();
  // A model in force is not to lose its name to a file that wants it too, whatever their order.
  const holds = ({ name, section }: ModelDraft): number =>
    context.namesInForce.get(name.name) === section.source.file ? 0 : 1;
  const inTurn = [...drafts].sort((a, b) => holds(a) - holds(b));
  const granted = new Set(inTurn.filter((draft) => claimName(context, names, draft.name)));
  const named = drafts.filter((draft) => granted.has(draft));
  const addresses = claimAddresses(context, named);
  const models: ModelSpec[] = [];
  for (const draft of named) {
    const aliases = draft.aliases.filter((alias) => claimAlias(context, names, alias, draft.name.name));
    const model = build(context, draft, aliases, addresses.get(draft.group) ?? []);
    if (model !== null) models.push(model);
  }
  return models;
}

function claimName({ findings }: AssembleContext, names: Map<string, Place>, { name, place }: PlacedName): boolean {
  const other = names.get(name);
  if (!isName(name))
    findings.problem(
      place,
      `${JSON.stringify(name)} cannot be a model's name: expected ${NAME_TEXT}${place.path.at(-1) === "name" ? "" : "; write `model_name`"}`,
    );
  else if (other !== undefined)
    findings.problem(
      place,
      `two models have the name ${JSON.stringify(name)}, the other at ${placeText(other)}; rename one`,
      ". This one is left out",
    );
  else {
    names.set(name, place);
    return true;
  }
  return false;
}

/** A model without one of its aliases still serves, so a clash only warns. */
function claimAlias(
  { findings }: AssembleContext,
  names: Map<string, Place>,
  { name, place }: PlacedName,
  model: string,
): boolean {
  const other = names.get(name);
  if (!isName(name))
    findings.warning(
      place,
      `${JSON.stringify(name)} cannot be a name: expected ${NAME_TEXT}; the model ${JSON.stringify(model)} does not get it`,
    );
  else if (other !== undefined)
    findings.warning(
      place,
      `the name ${JSON.stringify(name)} is taken by the model at ${placeText(other)}; the model ${JSON.stringify(model)} does not get it. Choose another one`,
    );
  else {
    names.set(name, place);
    return true;
  }
  return false;
}

/** The addresses that each group of models gets. The models of a group share theirs; two groups never do. */
function claimAddresses({ findings, taken }: AssembleContext, drafts: readonly ModelDraft[]): Map<string, string[]> {
  const claimed: PlacedAddress[] = [...taken];
  const granted = new Map<string, string[]>();
  for (const draft of drafts) {
    if (granted.has(draft.group)) continue;
    const own: string[] = [];
    for (const wanted of draft.addresses) {
      const other = claimed.find(({ address }) => overlap(address, wanted.address));
      if (other === undefined) {
        claimed.push(wanted);
        own.push(addressText(wanted.address));
      } else {
        const where =
          other.place.path.length === 0
            ? placeText(other.place)
            : `${dottedKey(other.place.path)} at ${placeText(other.place)}`;
        findings.problem(
          wanted.place,
          `${addressText(wanted.address)} is used twice, also by ${where}; give one of them another port`,
        );
      }
    }
    granted.set(draft.group, own);
  }
  return granted;
}

/** Whether two listeners cannot have both. */
export function overlap(a: ListenAddress, b: ListenAddress): boolean {
  return a.port !== 0 && a.port === b.port && (a.host === b.host || isWildcard(a.host) || isWildcard(b.host));
}

const fallbacksOf = ({ keys: { fallbacks = [] } }: ModelDraft): Pick<ModelSpec, "fallbacks"> =>
  fallbacks.length === 0 ? {} : { fallbacks };

function build(
  context: AssembleContext,
  draft: ModelDraft,
  aliases: readonly PlacedName[],
  ownAddresses: readonly string[],
): ModelSpec | null {
  const { findings, env, machine, llamaServerPath, hostCacheBudgetMib, providers } = context;
  const { keys, kind, section, source: written } = draft;
  const named = { aliases: aliases.map(({ name }) => name), ownAddresses, ...fallbacksOf(draft) };
  if (written.type === "provider") {
    const spec = providerSpec(findings, { ...draft, source: written }, providers);
    return spec === null ? null : { ...spec, ...named };
  }
  let refused = false;
  const refuseAt = (place: Place, message: string): void => {
    refused = true;
    findings.error(place, message, `. The model ${JSON.stringify(draft.name.name)} is left out`);
  };
  const commandPlace: Place = { source: section.source, path: ["command"] };
  const of: SectionContext = {
    kind,
    keys,
    machine,
    hostCacheBudgetMib,
    toPath: (written) => pathIn(section.source.file, written, env),
    refuse: (key, message) => refuseAt(at(section, key), message),
    warn: (key, message) => findings.warning(at(section, key), message),
  };
  const { engine: asked = "auto" } = keys;
  const engine = asked === "auto" ? modelKinds[kind].engine : asked;
  if (!runsKind(engine, kind)) of.refuse("engine", `${engine} does not run ${modelKinds[kind].noun}; remove the key`);
  const speaks = engine === "speech";
  const source = speaks ? speechSource(written) : written;
  const speech = speaks ? speechSettings(of, source, (message) => refuseAt(draft.sourcePlace, message)) : undefined;
  const devices = speaks ? ["cpu"] : deviceSetting(of);
  const load = { ...(speaks ? speechLoad(of) : loadSettings(of, devices)), llama: llamaSettings(of) };
  const sampling = samplingDefaults(of);
  const program =
    engine === "command" ? commandOf(draft, of, (key, message) => refuseAt(at(commandPlace, key), message)) : null;
  if (refused) return null;
  const ttl = keys.idle_ttl_s ?? defaults.idleTtlS;
  return {
    name: draft.name.name,
    ...named,
    kind,
    ...program,
    capabilities: { ...draft.capabilities, ...capabilitiesOfKind(kind, program?.operations) },
    engine,
    source,
    load,
    sampling,
    ...(speech === undefined ? {} : { speech }),
    includeUsage: keys.include_usage ?? false,
    devices,
    replicas: keys.replicas ?? "auto",
    replicasMin: keys.replicas_min ?? 0,
    exclusive: keys.exclusive ?? false,
    idleTtlMs: ttl === -1 ? null : ttl * 1000,
    preload: keys.preload ?? false,
    pinned: keys.pin ?? false,
    file: section.source.file,
    fingerprint: fingerprint({
      kind,
      ...program,
      engine,
      source,
      load,
      sampling,
      speech,
      devices,
      binary: traitsOf(engine).bundled ? null : llamaServerPath,
    }),
  };
}
