import type { ModelSpec } from "../core/model.ts";
import type { Findings } from "./findings.ts";

export interface Kept {
  readonly models: readonly ModelSpec[];
  /** Names of the models that keep earlier settings, by their file. */
  readonly kept: ReadonlyMap<string, readonly string[]>;
}

/**
 * What is served of `fresh`, a configuration some of whose model files may be broken, after `inForce`: a broken file is
 * not taken over in part, its models stay as they are in force. A fresh model that wants the name of one of them gives
 * way, and with it the rest of its file where that has models in force too.
 */
export function keepLastGood(inForce: readonly ModelSpec[], fresh: readonly ModelSpec[], findings: Findings): Kept {
  const files = new Set(inForce.map(({ file }) => file).filter((file) => findings.isBroken(file)));
  const dropped = new Set<ModelSpec>();
  for (;;) {
    const owners = new Map(inForce.filter(({ file }) => files.has(file)).map(({ name, file }) => [name, file]));
    const clash = fresh.find((model) => !files.has(model.file) && !dropped.has(model) && owners.has(model.name));
    if (clash === undefined) break;
    const { name, file } = clash;
    findings.fileError(
      file,
      null,
      `the model ${JSON.stringify(name)} is still that of ${owners.get(name)}, until that file is corrected`,
      `. This one is left out`,
    );
    if (findings.isBroken(file) && inForce.some((model) => model.file === file)) files.add(file);
    else dropped.add(clash);
  }
  if (files.size === 0) return { models: fresh, kept: new Map() };
  const stay = inForce.filter(({ file }) => files.has(file));
  const taken = fresh.filter((model) => !files.has(model.file) && !dropped.has(model));
  const kept = new Map(
    [...files].map((file) => [file, stay.filter((model) => model.file === file).map(({ name }) => name)]),
  );
  return { models: inPlace(inForce, [...taken, ...stay]), kept };
}

/** Models in the order that they had, new ones last. */
function inPlace(before: readonly ModelSpec[], models: readonly ModelSpec[]): ModelSpec[] {
  const places = new Map(before.map(({ name }, index) => [name, index]));
  const placeOf = ({ name }: ModelSpec): number => places.get(name) ?? before.length;
  return [...models].sort((a, b) => placeOf(a) - placeOf(b));
}
