import type { Store } from "../core/store.ts";
import type { StoreCheck } from "./health.ts";
import { dayCollection } from "./task-stats.ts";

const TIMEOUT_MS = 2_000;

/** Reads something of the store. Never rejects. */
export async function checkStore(store: Pick<Store, "collection">): Promise<StoreCheck> {
  const began = performance.now();
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error(`it has not answered within ${TIMEOUT_MS / 1000} s`)),
    TIMEOUT_MS,
  );
  try {
    await Promise.race([store.collection(dayCollection).get("any"), timeout.promise]);
    return { responseMs: Math.round((performance.now() - began) * 100) / 100, message: null };
  } catch (error) {
    return { responseMs: null, message: (error as Error).message };
  } finally {
    clearTimeout(timer);
  }
}
