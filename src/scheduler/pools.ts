import { Accounts } from "./queue/accounts.ts";
import type { ModelRecord } from "./records.ts";
import type { SchedulerState } from "./state.ts";

/**
 * Models that may run on the same devices, directly or by way of a third model, keep one account of what their tenants
 * got. Those that share no device don't: work on one is nothing that was taken from who waits for the other.
 */
export function shareAccounts(state: SchedulerState): void {
  const pools: { readonly devices: Set<string>; readonly models: ModelRecord[] }[] = [];
  for (const model of state.models.values()) {
    if (model.eligible.length === 0) continue;
    const pool = { devices: new Set(model.eligible.map(({ id }) => id)), models: [model] };
    for (const other of pools.filter(({ devices }) => [...devices].some((id) => pool.devices.has(id)))) {
      for (const id of other.devices) pool.devices.add(id);
      pool.models.push(...other.models);
      pools.splice(pools.indexOf(other), 1);
    }
    pools.push(pool);
  }
  const before = new Map(state.accounts);
  state.accounts.clear();
  for (const { devices, models } of pools) {
    const name = [...devices].sort().join(" ");
    const accounts = before.get(name) ?? new Accounts();
    state.accounts.set(name, accounts);
    for (const { queue } of models) queue.share(accounts);
  }
}
