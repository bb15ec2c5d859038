import { expect, test } from "vitest";
import { remoteNamed } from "../../../../../commands/support/models/node-store.ts";
import type { RemoteServer } from "../../../../../src/core/config.ts";

const remote = (name: string, host: string, enabled = true): RemoteServer => ({
  name,
  address: { host, port: 50051 },
  weight: 1,
  enabled,
  apiKey: null,
});
const remotes = [remote("attic", "192.168.1.20"), remote("cellar", "::1"), remote("off", "10.0.0.1", false)];

test("a remote server is meant by its name or by its address", () => {
  expect(remoteNamed("attic", remotes, "c.toml").name).toBe("attic");
  expect(remoteNamed("[::1]:50051", remotes, "c.toml").name).toBe("cellar");
});

test("one that is not configured is told with those that are, the nearest first", () => {
  expect(() => remoteNamed("atic", remotes, "c.toml")).toThrow(
    expect.objectContaining({
      code: "usage",
      param: "from",
      remedy:
        "Did you mean attic? Configured are attic (192.168.1.20:50051), cellar ([::1]:50051), off (10.0.0.1:50051).",
    }),
  );
  expect(() => remoteNamed("192.168.1.99:50051", [], "c.toml")).toThrow(
    expect.objectContaining({ remedy: expect.stringContaining("to c.toml") }),
  );
});

test("one that is switched off is not used", () => {
  expect(() => remoteNamed("off", remotes, "c.toml")).toThrow(
    expect.objectContaining({ remedy: expect.stringContaining("enabled = true") }),
  );
});
