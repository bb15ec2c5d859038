/** What another machine tells of one of its models. */
export interface RemoteModel {
  /** Requests it works on at once. */
  readonly slots: number;
  /** Requests it works on or has waiting, ours among them. */
  readonly inFlight: number;
  /** An instance is up there. */
  readonly loaded: boolean;
}

/** Another machine as a place for requests, as last measured. */
export interface RemoteCandidate {
  readonly name: string;
  /** Its id in hop lists; "" where it tells none. */
  readonly nodeId: string;
  /** Share of the work, relative to the others; 0: only where no other can. */
  readonly weight: number;
  readonly up: boolean;
  /** By name and alias. */
  readonly models: ReadonlyMap<string, RemoteModel>;
}

/** The id under which the scheduler, leases and answers know another machine. */
export const remoteInstanceId = (name: string): string => `remote:${name}`;
