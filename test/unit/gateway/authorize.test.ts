import { createHash } from "node:crypto";
import { afterEach, expect, test, vi } from "vitest";
import type { ApiKey } from "../../../src/core/config.ts";
import { isAssistantError } from "../../../src/core/errors.ts";
import { Authorizer, type Identity, isHidden, LOCAL } from "../../../src/gateway/front/authorize.ts";

const key = (name: string, more: Partial<ApiKey> = {}): ApiKey => ({
  name,
  sha256: createHash("sha256").update(name).digest("hex"),
  ...more,
});

function codeOf(step: () => unknown): string | null {
  try {
    step();
    return null;
  } catch (error) {
    return isAssistantError(error) ? error.code : String(error);
  }
}

/** How often the keys are compared is how often their hashes are read. */
function counted(name: string): { readonly key: ApiKey; readonly reads: () => number } {
  let reads = 0;
  const plain = key(name);
  return {
    key: {
      name,
      get sha256() {
        reads++;
        return plain.sha256;
      },
    },
    reads: () => reads,
  };
}

afterEach(() => {
  vi.useRealTimers();
});

test("without keys everybody is this machine's user, whatever is sent", () => {
  const authorizer = new Authorizer(() => []);
  for (const credential of [null, "anything"]) expect(authorizer.authorize(credential, "metrics", {})).toBe(LOCAL);
  expect([isHidden("admin", true, LOCAL), isHidden("admin", false, LOCAL), isHidden("metrics", true, LOCAL)]).toEqual([
    true,
    false,
    false,
  ]);
});

test("a key is its tenant and its models, and opens its scopes alone", () => {
  const authorizer = new Authorizer(() => [
    key("anna", { models: ["river"] }),
    key("root", { scopes: ["admin", "metrics"] }),
  ]);
  expect(authorizer.authorize("anna", "inference")).toMatchObject({
    caller: { tenant: "anna", models: ["river"] },
    key: { name: "anna" },
  });
  expect(codeOf(() => authorizer.authorize("anna", "admin"))).toBe("insufficient_scope");
  expect(codeOf(() => authorizer.authorize("root", "inference"))).toBe("insufficient_scope");
  expect(isHidden("admin", true, authorizer.authorize("root", "admin"))).toBe(false);
  expect([
    codeOf(() => authorizer.authorize(null, "inference")),
    codeOf(() => authorizer.authorize("ben", "inference")),
  ]).toEqual(["missing_api_key", "invalid_api_key"]);
});

test("a connection is remembered with its credential, and with no other", () => {
  const authorizer = new Authorizer(() => [key("anna"), key("ben")]);
  const connection = {};
  const names = ["anna", "ben", "anna"].map(
    (credential) => authorizer.authorize(credential, "inference", connection).caller.tenant,
  );
  expect(names).toEqual(["anna", "ben", "anna"]);
  expect(codeOf(() => authorizer.authorize(null, "inference", connection))).toBe("missing_api_key");
  expect(codeOf(() => authorizer.authorize("eve", "inference", connection))).toBe("invalid_api_key");
  // A wrong one in between costs the right one nothing.
  expect(authorizer.authorize("anna", "inference", connection).caller.tenant).toBe("anna");
  expect(codeOf(() => authorizer.authorize("eve", "inference", {}))).toBe("invalid_api_key");
});

test("a scope is asked for every request of a remembered connection", () => {
  const authorizer = new Authorizer(() => keys);
  const keys = [key("anna")];
  const connection = {};
  authorizer.authorize("anna", "inference", connection);
  expect(codeOf(() => authorizer.authorize("anna", "admin", connection))).toBe("insufficient_scope");
});

test("a reload takes effect on connections that are open", () => {
  let keys: readonly ApiKey[] = [key("anna")];
  const authorizer = new Authorizer(() => keys);
  const connection = {};
  authorizer.authorize("anna", "inference", connection);
  keys = [key("anna", { models: ["lake"] })];
  expect(authorizer.authorize("anna", "inference", connection).caller.models).toEqual(["lake"]);
  keys = [key("ben")];
  expect(codeOf(() => authorizer.authorize("anna", "inference", connection))).toBe("invalid_api_key");
  keys = [];
  expect(authorizer.authorize("anna", "inference", connection)).toBe(LOCAL);
  keys = [key("ben")];
  expect(codeOf(() => authorizer.authorize("anna", "inference", connection))).toBe("invalid_api_key");
});

test("requests of one connection share an identity that is looked up once", () => {
  const { key: anna, reads } = counted("anna");
  const keys = [anna];
  const authorizer = new Authorizer(() => keys);
  const connection = {};
  const first: Identity = authorizer.authorize("anna", "inference", connection);
  const after = reads();
  expect(authorizer.authorize("anna", "inference", connection)).toBe(first);
  expect(reads()).toBe(after);
});

test("the limits of a key hold across connections, and are given back", () => {
  const keys = [key("anna", { maxInFlight: 1 }), key("ben")];
  const authorizer = new Authorizer(() => keys);
  const anna = authorizer.authorize("anna", "inference");
  const ended = authorizer.admit(anna);
  expect(codeOf(() => authorizer.admit(authorizer.authorize("anna", "inference", {})))).toBe("rate_limit_exceeded");
  ended?.();
  expect(codeOf(() => authorizer.admit(anna))).toBeNull();
  expect([authorizer.admit(authorizer.authorize("ben", "inference")), authorizer.admit(LOCAL)]).toEqual([null, null]);
});

test("a key that expires is refused from then on, on a connection that it was let in on too", () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_000 });
  const keys = [key("anna", { expiresAt: 2_000 })];
  const authorizer = new Authorizer(() => keys);
  const connection = {};
  vi.setSystemTime(1_999);
  expect(authorizer.authorize("anna", "inference", connection).caller.tenant).toBe("anna");
  vi.setSystemTime(2_000);
  expect(codeOf(() => authorizer.authorize("anna", "inference", connection))).toBe("invalid_api_key");
});
