import { IndexedHeap } from "../structures/heap.ts";

/** Tenants without a waiting request whose counters are kept. */
const MAX_ABSENT = 1000;

/** A tenant; the same object in all queues that share the accounts. */
export interface Tenant {
  readonly name: string;
  /** Work received ÷ weight. Never decreases, so a lane's place in its queue is at worst too far ahead. */
  counter: number;
  /** Refunds, deducted from the next charge. */
  credit: number;
  /** Number of lanes it waits in, over all queues. */
  lanes: number;
  heapIndex: number;
}

/**
 * What each tenant received (virtual token counters), over all queues that share the accounts: a tenant that has used
 * its share of a device with one model is behind others with the next model there.
 */
export class Accounts {
  readonly #tenants = new Map<string, Tenant>();
  /** Waiting tenants, least served first. */
  readonly #waiting = new IndexedHeap<Tenant>((a, b) => a.counter < b.counter);
  /** The lowest counter among those waiting when a tenant was last served. */
  #floor = 0;

  /** Charges a tenant with work ÷ weight; negative if it was less than expected. */
  charge(name: string, work: number): void {
    const tenant = this.#tenantOf(name);
    if (work < 0) {
      tenant.credit -= work;
      return;
    }
    const paid = Math.min(work, tenant.credit);
    tenant.credit -= paid;
    tenant.counter += work - paid;
    if (tenant.lanes > 0) this.#waiting.update(tenant);
  }

  /** A tenant is about to be served. */
  served(): void {
    this.#floor = Math.max(this.#floor, this.#waiting.peek()?.counter ?? 0);
  }

  /** The tenant has requests in one more lane. */
  enter(name: string): Tenant {
    const tenant = this.#tenantOf(name);
    // An absent tenant earns no claim on what the others received meanwhile.
    if (tenant.lanes === 0) tenant.counter = Math.max(tenant.counter, this.#least());
    tenant.lanes += 1;
    this.#waiting.update(tenant);
    return tenant;
  }

  leave(tenant: Tenant): void {
    tenant.lanes -= 1;
    if (tenant.lanes > 0) return;
    this.#waiting.remove(tenant);
    // Moved to the end: the tenants that have been absent longest are forgotten first.
    this.#tenants.delete(tenant.name);
    this.#tenants.set(tenant.name, tenant);
    if (this.#tenants.size <= MAX_ABSENT) return;
    for (const [name, other] of this.#tenants) {
      if (other.lanes > 0) continue;
      this.#tenants.delete(name);
      return;
    }
  }

  #tenantOf(name: string): Tenant {
    let tenant = this.#tenants.get(name);
    if (tenant === undefined) {
      tenant = { name, counter: this.#least(), credit: 0, lanes: 0, heapIndex: -1 };
      this.#tenants.set(name, tenant);
    }
    return tenant;
  }

  #least(): number {
    return this.#waiting.peek()?.counter ?? this.#floor;
  }
}
