import { IndexedHeap } from "../structures/heap.ts";
import type { AnyLane, Tenant } from "./lanes.ts";

/** Tenants without a waiting request whose counters are kept. */
const MAX_ABSENT = 1000;
/** Lanes of one tenant that are put in order at once. What one with more is given back is counted with its next charge. */
const MAX_MOVED = 16;

/**
 * What each tenant got (virtual token counters), over all queues that share the accounts: who has had its part of a
 * device with one model is behind others with the next model there.
 */
export class Accounts {
  readonly #tenants = new Map<string, Tenant>();
  /** Those who wait, least served first. */
  readonly #waiting = new IndexedHeap<Tenant>((a, b) => a.counter < b.counter);
  /** The least counter of those who waited when somebody was last served. */
  #floor = 0;

  /** Counts what a tenant got, work ÷ weight; negative where it was less than expected. */
  charge(name: string, work: number): void {
    const tenant = this.#tenantOf(name);
    if (work < 0 && tenant.lanes.size > MAX_MOVED) {
      tenant.credit -= work;
      return;
    }
    const paid = Math.max(0, Math.min(work, tenant.credit));
    tenant.credit -= paid;
    tenant.counter += work - paid;
    if (tenant.lanes.size === 0) return;
    this.#waiting.update(tenant);
    if (work < 0) for (const lane of tenant.lanes) lane.moved();
  }

  /** Somebody is about to be served. */
  served(): void {
    this.#floor = Math.max(this.#floor, this.#waiting.peek()?.counter ?? 0);
  }

  /** The tenant has requests in one more lane. */
  enter(name: string, lane: AnyLane): Tenant {
    const tenant = this.#tenantOf(name);
    // Who was away has no claim on what the others got meanwhile.
    if (tenant.lanes.size === 0) tenant.counter = Math.max(tenant.counter, this.#least());
    tenant.lanes.add(lane);
    this.#waiting.update(tenant);
    return tenant;
  }

  leave(tenant: Tenant, lane: AnyLane): void {
    tenant.lanes.delete(lane);
    if (tenant.lanes.size > 0) return;
    this.#waiting.remove(tenant);
    // To the end: the tenants that have been away longest are forgotten first.
    this.#tenants.delete(tenant.name);
    this.#tenants.set(tenant.name, tenant);
    if (this.#tenants.size <= MAX_ABSENT) return;
    for (const [name, other] of this.#tenants) {
      if (other.lanes.size > 0) continue;
      this.#tenants.delete(name);
      return;
    }
  }

  #tenantOf(name: string): Tenant {
    let tenant = this.#tenants.get(name);
    if (tenant === undefined) {
      tenant = { name, counter: this.#least(), lanes: new Set(), credit: 0, heapIndex: -1 };
      this.#tenants.set(name, tenant);
    }
    return tenant;
  }

  #least(): number {
    return this.#waiting.peek()?.counter ?? this.#floor;
  }
}
