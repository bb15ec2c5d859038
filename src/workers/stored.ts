import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Collection, Store } from "../core/store.ts";
import type { WorkerRegistration } from "../core/worker.ts";

/** `host`: an address of loopback means something on the machine alone where it was registered. */
type StoredWorker = WorkerRegistration & { readonly host: string };

const TENANT = "local";
const PAGE = 1000;

/** The registrations that outlive the daemon. */
export class StoredWorkers {
  readonly #store: Store;
  readonly #workers: Collection<StoredWorker>;

  constructor(store: Store) {
    this.#store = store;
    this.#workers = store.collection<StoredWorker>({ name: "workers", indexes: { host: ["host"] } });
  }

  async add(registration: WorkerRegistration): Promise<void> {
    const value = { ...registration, host: hostname() };
    await this.#store.commit([this.#workers.put(idOf(registration), value, { tenant: TENANT })]);
  }

  async remove(registrations: readonly WorkerRegistration[]): Promise<void> {
    if (registrations.length === 0) return;
    await this.#store.commit(registrations.map((registration) => this.#workers.remove(idOf(registration))));
  }

  /** Those of this machine, in the order in which they registered. */
  async all(): Promise<WorkerRegistration[]> {
    const found: WorkerRegistration[] = [];
    let after: string | undefined;
    do {
      const page = await this.#workers.list({
        index: "host",
        equals: [hostname()],
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
}

const idOf = ({ name, endpoint }: WorkerRegistration): string =>
  createHash("sha256")
    .update(JSON.stringify([name, endpoint]))
    .digest("hex")
    .slice(0, 32);
