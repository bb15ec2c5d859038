import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Collection, Store } from "../core/store.ts";
import type { WorkerRegistration } from "../core/worker.ts";

/** `host`: a loopback address is only meaningful on the machine where it was registered, and to its daemon. */
type StoredWorker = WorkerRegistration & { readonly host: string };

const TENANT = "local";
const PAGE = 1000;

/** The registrations that outlive the daemon. */
export class StoredWorkers {
  readonly #store: Store;
  readonly #workers: Collection<StoredWorker>;

  readonly #installation: string | null;
  readonly #host: string;

  /** `installation`: which of those it is that share the store; null: there is no other. */
  constructor(store: Store, installation: string | null) {
    this.#store = store;
    this.#installation = installation;
    this.#host = installation ?? hostname();
    this.#workers = store.collection<StoredWorker>({ name: "workers", indexes: { host: ["host"] } });
  }

  async add(registration: WorkerRegistration): Promise<void> {
    const value = { ...registration, host: this.#host };
    await this.#store.commit([this.#workers.put(this.#idOf(registration), value, { tenant: TENANT })]);
  }

  async remove(registrations: readonly WorkerRegistration[]): Promise<void> {
    if (registrations.length === 0) return;
    await this.#store.commit(registrations.map((registration) => this.#workers.remove(this.#idOf(registration))));
  }

  /** Those of this installation, in the order in which they registered. */
  async all(): Promise<WorkerRegistration[]> {
    const found: WorkerRegistration[] = [];
    let after: string | undefined;
    do {
      const page = await this.#workers.list({
        index: "host",
        equals: [this.#host],
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      for (const { value } of page.records) {
        const { host: _, ...registration } = value;
        found.push(registration);
      }
      after = page.next ?? undefined;
    } while (after !== undefined);
    return found;
  }

  #idOf({ name, endpoint }: WorkerRegistration): string {
    const place = this.#installation === null ? [name, endpoint] : [this.#installation, name, endpoint];
    return createHash("sha256").update(JSON.stringify(place)).digest("hex").slice(0, 32);
  }
}
