import { expect, test } from "vitest";
import { type Growing, Relay } from "../../../src/tasks/relay.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const MAX = 4;

/** Daemons whose messages arrive at once, but for those that `isLost` takes. */
function network(isLost: (message: string) => boolean = () => false) {
  const listeners = new Map<string, (message: string | null) => void>();
  const connection = (id: string) => ({
    id,
    isUp: true,
    channel: (name: string) => `${name.startsWith("follow:") ? `${id}/` : ""}${name}`,
    async publish(channel: string, message: string) {
      const to = channel.includes("/") ? [...listeners.keys()].filter((key) => key.includes("/")) : [channel];
      const reached = to.flatMap((key) => listeners.get(key) ?? []);
      if (!isLost(message)) for (const listener of reached) listener(message);
      return reached.length;
    },
    subscribe(channel: string, listener: (message: string | null) => void) {
      listeners.set(channel, listener);
      return { [Symbol.dispose]: () => void listeners.delete(channel) };
    },
  });
  const end = (id: string): void => {
    for (const key of listeners.keys()) if (key.startsWith(`${id}/`) || key.endsWith(`:${id}`)) listeners.delete(key);
  };
  return { connection, end };
}

/** Something that is made, in attempts. */
function maker() {
  let made: { attempt: string; text: string } | null = null;
  const read = (): Growing | null => {
    const now = made;
    return (
      now && {
        attempt: now.attempt,
        get length() {
          return now.text.length;
        },
        slice: (from) => {
          const part = now.text.slice(from, from + MAX);
          return { parts: [part], next: from + part.length };
        },
      }
    );
  };
  return {
    read,
    begin: (attempt: string) => {
      made = { attempt, text: "" };
    },
    add: (text: string) => {
      if (made !== null) made.text += text;
    },
    end: () => {
      made = null;
    },
  };
}

function mirror() {
  const seen: string[] = [];
  return {
    seen,
    mirror: {
      isHere: false,
      begin: () => void seen.push("begin"),
      take: (parts: readonly string[]) => void seen.push(...parts.filter((part) => part !== "")),
      end: () => void seen.push("end"),
      lost: () => void seen.push("lost"),
    },
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("who follows gets what there is, in messages of bounded size, then what comes, another attempt, and the end", async () => {
  const { connection } = network();
  const clock = new FakeClock();
  const made = maker();
  const here = new Relay({ connection: connection("a"), kind: "task", read: made.read, clock });
  const there = new Relay({ connection: connection("b"), kind: "task", read: () => null, clock });
  made.begin("1");
  made.add("abcdef");
  const { seen, mirror: one } = mirror();
  using _following = there.follow("t", () => one);
  await settle();
  expect(seen.splice(0)).toEqual(["begin", "abcd", "ef"]);
  made.add("g");
  here.grown("t");
  await settle();
  made.begin("2");
  made.add("h");
  here.grown("t");
  await settle();
  made.end();
  here.grown("t");
  await settle();
  expect(seen).toEqual(["g", "begin", "h", "end"]);
});

test("a message that is lost is asked for again", async () => {
  let losing = false;
  const { connection } = network((message) => losing && "parts" in JSON.parse(message));
  const clock = new FakeClock();
  const made = maker();
  const here = new Relay({ connection: connection("a"), kind: "task", read: made.read, clock });
  const there = new Relay({ connection: connection("b"), kind: "task", read: () => null, clock });
  made.begin("1");
  made.add("ab");
  const { seen, mirror: one } = mirror();
  using _following = there.follow("t", () => one);
  await settle();
  losing = true;
  made.add("cd");
  here.grown("t");
  await settle();
  losing = false;
  made.add("ef");
  here.grown("t");
  await settle();
  expect(seen).toEqual(["begin", "ab", "cdef"]);
});

test("what a daemon made that has died is lost after three seconds, and begins anew on another", async () => {
  const { connection, end } = network();
  const clock = new FakeClock();
  const [first, second] = [maker(), maker()];
  new Relay({ connection: connection("a"), kind: "task", read: first.read, clock });
  const there = new Relay({ connection: connection("b"), kind: "task", read: () => null, clock });
  const other = new Relay({ connection: connection("c"), kind: "task", read: second.read, clock });
  first.begin("1");
  first.add("ab");
  const { seen, mirror: one } = mirror();
  using _following = there.follow("t", () => one);
  await settle();
  end("a");
  for (let second = 0; second < 4; second++) {
    clock.advance(1_000);
    await settle();
  }
  second.begin("2");
  second.add("ba");
  other.grown("t");
  await settle();
  expect(seen).toEqual(["begin", "ab", "lost", "begin", "ba"]);
});
