import path from "node:path";
import { describe, expect, it } from "vitest";
import { expandHome, resolvePaths } from "../../../src/config/paths.ts";

const HOME = "/home/u";

it("follows XDG, with the usual places where it says nothing", () => {
  expect(resolvePaths({ HOME })).toMatchObject({
    configFile: "/home/u/.config/assistant/config.toml",
    modelConfigDir: "/home/u/.config/assistant/models",
    dataDir: "/home/u/.local/share/assistant",
    weightsDir: "/home/u/.local/share/assistant/models",
    enginesDir: "/home/u/.local/share/assistant/engines",
    logDir: "/home/u/.local/state/assistant/log",
  });
  expect(
    resolvePaths({
      HOME,
      XDG_CONFIG_HOME: "/c",
      XDG_DATA_HOME: "/d",
      XDG_STATE_HOME: "/s",
      XDG_RUNTIME_DIR: "/run/user/7",
    }),
  ).toMatchObject({
    configFile: "/c/assistant/config.toml",
    dataDir: "/d/assistant",
    logDir: "/s/assistant/log",
    // The data directory decides, not the login session: every shell finds the same daemon.
    runDir: "/d/assistant/run",
  });
});

it("ignores XDG values that are relative or empty, as the specification asks", () => {
  expect(resolvePaths({ HOME, XDG_CONFIG_HOME: "c", XDG_DATA_HOME: "" })).toMatchObject({
    configFile: "/home/u/.config/assistant/config.toml",
    dataDir: "/home/u/.local/share/assistant",
  });
});

it("the flag wins over ASSISTANT_CONFIG, and model files lie beside the file", () => {
  expect(resolvePaths({ HOME, ASSISTANT_CONFIG: "/e/a.toml" })).toMatchObject({
    configFile: "/e/a.toml",
    modelConfigDir: "/e/models",
  });
  expect(resolvePaths({ HOME, ASSISTANT_CONFIG: "/e/a.toml" }, { configFile: "/f/b.toml" }).configFile).toBe(
    "/f/b.toml",
  );
  expect(resolvePaths({ HOME }, { configFile: "b.toml" }).configFile).toBe(path.resolve("b.toml"));
});

it("one data directory holds everything of an installation, with a run directory of its own", () => {
  const a = resolvePaths({ HOME, ASSISTANT_DATA_DIR: "/a" });
  expect(a).toMatchObject({ dataDir: "/a", weightsDir: "/a/models", logDir: "/a/log" });
  expect(a.adminSocket).toBe(path.join(a.runDir, "admin.sock"));
  expect(a.runDir).not.toBe(resolvePaths({ HOME, ASSISTANT_DATA_DIR: "/b" }).runDir);
  expect(a.runDir).toBe(resolvePaths({ HOME, ASSISTANT_DATA_DIR: "/a/" }).runDir);
});

it("the system service has the system's directories", () => {
  expect(resolvePaths({ HOME, ASSISTANT_SYSTEM: "1" })).toMatchObject({
    configFile: "/etc/assistant/config.toml",
    modelConfigDir: "/etc/assistant/models",
    dataDir: "/var/lib/assistant",
    logDir: "/var/log/assistant",
    runDir: "/run/assistant",
  });
});

describe("sockets stay short enough for every system", () => {
  it.each([
    { XDG_RUNTIME_DIR: `/${"r".repeat(90)}` },
    { TMPDIR: `/${"t".repeat(90)}` },
    { ASSISTANT_DATA_DIR: `/${"d".repeat(300)}` },
  ])("%j", (env) => {
    const { runDir, adminSocket } = resolvePaths({ HOME, ...env });
    expect(runDir.length).toBeLessThanOrEqual(70);
    expect(adminSocket.length).toBeLessThanOrEqual(100);
  });
});

it("~ is the home directory, and nothing else is", () => {
  expect(["~", "~/x", "~other/x", "a~"].map((file) => expandHome(file, HOME))).toEqual([
    HOME,
    "/home/u/x",
    "~other/x",
    "a~",
  ]);
});
