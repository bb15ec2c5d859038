import type { ErrorCode } from "./errors.ts";
import { type Capabilities, capabilitiesOfKind, ENGINE_SAMPLING, type ModelSpec, PLAIN_LOAD } from "./model.ts";
import type { Upstream } from "./upstream.ts";

/** One model as reported by another machine or a provider. */
export interface RemoteModel {
  /** Requests it works on at once. */
  readonly slots: number;
  /** Requests it works on or has waiting, ours among them. */
  readonly inFlight: number;
  /** An instance is up there. */
  readonly loaded: boolean;
  /** What it offers there. Missing: what the model does. */
  readonly capabilities?: Capabilities;
  /** Each reserves one slot for the requests that carry it; missing: none are reserved. */
  readonly reservations?: ReadonlySet<string>;
}

/** Another machine, or a provider, as a place for requests, as last measured. */
export interface RemoteCandidate {
  readonly name: string;
  /** Its id in hop lists; "" if it reports none. */
  readonly nodeId: string;
  /** Share of the work, relative to the others; 0: only where no other can. */
  readonly weight: number;
  readonly up: boolean;
  /** Why it is not up, where that is known. */
  readonly down?: { readonly code: ErrorCode; readonly message: string; readonly remedy: string | null } | null;
  /** Most requests at once, over all its models; missing: as many as these have slots. */
  readonly maxInFlight?: number;
  /** By name and alias. */
  readonly models: ReadonlyMap<string, RemoteModel>;
}

/** A source of places for requests that no local engine serves: other machines, providers, workers, pipelines. */
export interface RemoteSource {
  candidates(): readonly RemoteCandidate[];
  /** Models that its candidates serve; `taken`: names and aliases that models of this machine's files have. */
  models(taken: ReadonlySet<string>): readonly ModelSpec[];
  /** The way to a candidate; null while it is not up, or where it is none of this source. */
  upstream(name: string): Upstream | null;
}

/** What has changed of a source, where that is less than all of it. */
export interface RemoteDelta {
  /** Those that are new or differ. */
  readonly candidates: readonly RemoteCandidate[];
  /** Names of candidates that are gone. */
  readonly gone: readonly string[];
  /** Models that are new or differ. */
  readonly models: readonly ModelSpec[];
  /** Names of models that no candidate of the source has any longer. */
  readonly lostModels: readonly string[];
}

/** The id under which the scheduler, leases and answers know another machine or a provider. */
export const remoteInstanceId = (name: string): string => `${PREFIX}${name}`;

/** The name in such an id; null: it is another kind of id. */
export const remoteName = (id: string): string | null => (id.startsWith(PREFIX) ? id.slice(PREFIX.length) : null);

const PREFIX = "remote:";

/** A model for which nothing is ever started here. */
export const servedElsewhere = ({
  contextTokens,
  slots,
  ...facts
}: Pick<ModelSpec, "name" | "aliases" | "kind" | "source" | "fingerprint"> & {
  readonly capabilities?: Capabilities;
  readonly nodes: readonly string[];
  readonly contextTokens: number;
  readonly slots: number;
}): ModelSpec => ({
  capabilities: capabilitiesOfKind(facts.kind),
  ...facts,
  engine: "auto",
  load: { ...PLAIN_LOAD, contextTokens, slots },
  sampling: ENGINE_SAMPLING,
  includeUsage: false,
  devices: [],
  replicas: 0,
  idleTtlMs: null,
  preload: false,
  pinned: false,
  ownAddresses: [],
  file: "",
});
