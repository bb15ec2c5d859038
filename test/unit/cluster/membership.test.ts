import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { Membership } from "../../../src/cluster/membership.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { RemoteServer } from "../../../src/core/config.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { Store } from "../../../src/core/store.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let directory: string;
let store: SqliteStore;
const started: Membership[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "assistant-members-"));
  store = new SqliteStore({ directory, report: () => {} });
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((member) => member.close()));
});
afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

interface Member {
  readonly membership: Membership;
  readonly clock: FakeClock;
  readonly warnings: string[];
  members: readonly RemoteServer[];
  isDrained: boolean;
  /** Lets it exchange once. */
  beat(): Promise<void>;
}

/** Sees expiry by the system's time, and says that it is there when its own clock is turned. */
async function joined(name: string, port: number, through: Pick<Store, "collection" | "commit"> = store) {
  const clock = new FakeClock();
  clock.time = systemClock.now();
  const warnings: string[] = [];
  let exchanges = 0;
  const member: Member = {
    membership: new Membership({
      store: {
        commit: (writes) => through.commit(writes),
        watch: () => ({ [Symbol.dispose]() {} }),
        collection: (spec) => {
          const collection = through.collection(spec);
          const list: typeof collection.list = (query) => {
            if (spec.name === "cluster_members") exchanges++;
            return collection.list(query);
          };
          return new Proxy(collection, {
            get: (target, key) => (key === "list" ? list : Reflect.get(target, key).bind(target)),
          });
        },
      },
      clock,
      log: { info() {}, warn: (_, message) => void warnings.push(message) },
      nodeId: `node_${name}_${port}`,
      version: "1",
      self: () => ({ name, address: { host: "127.0.0.1", port }, apiKey: null }),
      onChange(members, isDrained) {
        member.members = members;
        member.isDrained = isDrained;
      },
    }),
    clock,
    warnings,
    members: [],
    isDrained: false,
    async beat() {
      const before = exchanges;
      clock.advance(3_000);
      await vi.waitFor(() => expect(exchanges).toBeGreaterThan(before));
    },
  };
  started.push(member.membership);
  await member.membership.start();
  return member;
}

const namesOf = ({ members }: Member): string[] => members.map(({ name }) => name).sort();

test("a machine learns of those that join later, and of those that leave", async () => {
  const one = await joined("one", 1);
  const two = await joined("two", 2);
  expect(namesOf(two)).toEqual(["one"]);
  await one.beat();
  await vi.waitFor(() => expect(namesOf(one)).toEqual(["two"]));
  await two.membership.close();
  await one.beat();
  await vi.waitFor(() => expect(namesOf(one)).toEqual([]));
});

test("two machines of one name are told apart, and the later one says so", async () => {
  const first = await joined("same", 1);
  const second = await joined("same", 2);
  expect(first.membership.name).toBe("same");
  expect(second.membership.name).toBe("same-me_2");
  expect(second.warnings).toEqual([expect.stringContaining("[cluster] name")]);
  expect(namesOf(second)).toEqual(["same"]);
});

test("a daemon that is started again at its address has its old name and is still drained", async () => {
  const before = await joined("gpu", 7);
  await before.membership.setDrained(null, true);
  expect(before.isDrained).toBe(true);
  const after = await joined("gpu", 7);
  expect(after.membership.name).toBe("gpu");
  expect(after.isDrained).toBe(true);
  await after.membership.setDrained("gpu", false);
  expect(after.isDrained).toBe(false);
});

test("those that are known stay known while the store is away, and a while after", async () => {
  let isAway = false;
  const unreliable: Pick<Store, "collection" | "commit"> = {
    collection: (spec) => store.collection(spec),
    commit: (writes) =>
      isAway ? Promise.reject(new AssistantError("store_unavailable", "The store is away.")) : store.commit(writes),
  };
  const other = await joined("other", 2);
  const one = await joined("one", 1, unreliable);
  expect(namesOf(one)).toEqual(["other"]);
  isAway = true;
  one.clock.advance(3_000);
  await vi.waitFor(() => expect(one.warnings).toEqual(["the cluster's members cannot be read"]));
  await other.membership.close();
  isAway = false;
  await one.beat();
  expect(namesOf(one)).toEqual(["other"]);
  one.clock.advance(20_000);
  await one.beat();
  await vi.waitFor(() => expect(namesOf(one)).toEqual([]));
});

test("a machine that is not there cannot be drained", async () => {
  const one = await joined("one", 1);
  await expect(one.membership.setDrained("nobody", true)).rejects.toMatchObject({ code: "node_not_found" });
});
