import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import * as grpc from "@grpc/grpc-js";
import { expect, test } from "vitest";
import type { FetchRequest } from "../../../src/api/model-service.ts";
import type { ApiKey } from "../../../src/core/config.ts";
import { Authorizer } from "../../../src/gateway/front/authorize.ts";
import { makeModelHandlers, type Shelf } from "../../../src/gateway/grpc/model-handlers.ts";

const PARTS = 8;

/** A call whose caller takes parts only when told to. */
class Call extends EventEmitter {
  readonly metadata = new grpc.Metadata();
  readonly request: FetchRequest;
  readonly ended = Promise.withResolvers<grpc.StatusObject | null>();
  cancelled = false;
  room = 2;
  written = 0;

  constructor(request: Partial<FetchRequest> = {}) {
    super();
    this.request = { model: "river", sha256: "", offset: "0", ...request };
    this.on("error", (status: grpc.StatusObject) => this.ended.resolve(status));
  }

  write(): boolean {
    this.written += 1;
    this.room -= 1;
    return this.room > 0;
  }

  take(parts: number): void {
    this.room = parts;
    this.emit("drain");
  }

  leave(): void {
    this.cancelled = true;
    this.emit("cancelled");
    this.ended.resolve(null);
  }

  end(): void {
    this.ended.resolve(null);
  }
}

function setup(stallMs?: number, apiKeys: readonly ApiKey[] = []) {
  const state = { read: 0, open: 0, messages: [] as string[] };
  const shelf: Shelf = {
    find: async (name) => ({ name, bytes: PARTS, sha256: "a".repeat(64), reference: null, licence: null, files: null }),
    async *read(_model, _sha256, offset) {
      state.open += 1;
      try {
        for (let at = offset; at < PARTS; at++) {
          state.read += 1;
          yield Buffer.alloc(1);
        }
      } finally {
        state.open -= 1;
      }
    },
  };
  const note = (_fields: object, message: string): void => void state.messages.push(message);
  const handlers = makeModelHandlers({
    grpc,
    shelf,
    authorizer: new Authorizer(() => apiKeys),
    log: { debug: note, info: note, warn: note, error: note },
    ...(stallMs === undefined ? {} : { stallMs }),
  });
  const begin = (call: Call): Call => {
    handlers.fetch(call as unknown as Parameters<typeof handlers.fetch>[0]);
    return call;
  };
  return { state, begin };
}

/** Lets everything that can go on do so. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("no more is read than the caller takes", async () => {
  const { state, begin } = setup();
  const call = begin(new Call());
  await settled();
  expect([call.written, state.read]).toEqual([2, 2]);
  call.take(3);
  await settled();
  expect([call.written, state.read]).toEqual([5, 5]);
  call.take(PARTS);
  expect(await call.ended.promise).toBeNull();
  expect(call.written).toBe(PARTS);
  expect(state).toMatchObject({ open: 0, messages: ["model transfer begins", "model transfer done"] });
});

test("a caller who leaves ends the reading, also while it waits", async () => {
  const { state, begin } = setup();
  const call = begin(new Call());
  await settled();
  call.leave();
  await settled();
  expect(call.written).toBe(2);
  expect(state).toMatchObject({ open: 0, messages: ["model transfer begins", "model transfer cancelled"] });
  expect(call.listenerCount("drain")).toBe(0);
});

test("a caller who takes nothing is not waited for for ever", async () => {
  const { state, begin } = setup(5);
  const call = begin(new Call());
  expect(await call.ended.promise).toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
  expect(state).toMatchObject({ open: 0, messages: ["model transfer begins", "model transfer failed"] });
});

test("other weights than those described, and offsets behind the end, are refused", async () => {
  const { state, begin } = setup();
  expect(await begin(new Call({ sha256: "b".repeat(64) })).ended.promise).toMatchObject({
    code: grpc.status.FAILED_PRECONDITION,
  });
  expect(await begin(new Call({ offset: String(PARTS + 1) })).ended.promise).toMatchObject({
    code: grpc.status.INVALID_ARGUMENT,
  });
  expect(state.read).toBe(0);
  expect(await begin(new Call({ offset: String(PARTS) })).ended.promise).toBeNull();
});

test("weights go to those whose key may use the model, by the name or alias that it says", async () => {
  const key = (name: string, more: Partial<ApiKey>): ApiKey => ({
    name,
    sha256: createHash("sha256").update(name).digest("hex"),
    ...more,
  });
  const keys = [
    key("anna", { models: ["river"] }),
    key("ben", { models: ["lake"] }),
    key("prometheus", { scopes: ["metrics"] }),
  ];
  const { state, begin } = setup(undefined, keys);
  const take = async (name: string, model: string): Promise<number | null> => {
    const call = new Call({ model });
    call.room = PARTS + 1;
    if (name !== "") call.metadata.set("authorization", `Bearer ${name}`);
    return (await begin(call).ended.promise)?.code ?? null;
  };
  expect([await take("anna", "river"), await take("ben", "lake")]).toEqual([null, null]);
  const { read } = state;
  const { PERMISSION_DENIED, UNAUTHENTICATED } = grpc.status;
  const refused = [await take("ben", "river"), await take("prometheus", "river"), await take("", "river")];
  expect(refused).toEqual([PERMISSION_DENIED, PERMISSION_DENIED, UNAUTHENTICATED]);
  expect(state.read).toBe(read);
});
