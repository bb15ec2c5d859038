import { describe, expect, test } from "vitest";
import { reloadMessage } from "../../../../../commands/support/daemon/reload-message.ts";
import { serveMessage } from "../../../../../commands/support/daemon/serve.ts";
import { describeWait } from "../../../../../commands/support/daemon/stop.ts";
import { fakeInstance, fakeStatus } from "../../../../fakes/status.ts";

describe("serve says", () => {
  test("where it is, how to watch and how to stop, and hints once", () => {
    const text = serveMessage(fakeStatus({ hints: ["Build it."] }), true, null).join("\n");
    for (const part of ["http://127.0.0.1:8080/v1", "assistant ps", "assistant stop", "Hint: Build it."])
      expect(text).toContain(part);
  });

  test("that it runs already, and that another address was not taken", () => {
    const lines = serveMessage(fakeStatus(), false, "127.0.0.1:9000");
    expect(lines[0]).toContain("already running at http://127.0.0.1:8080");
    expect(lines[1]).toContain("not changed");
    expect(serveMessage(fakeStatus(), false, "127.0.0.1:8080")).toHaveLength(1);
  });

  test("which model was left out, with file and line", () => {
    const notices = [
      { severity: "error", file: "/m/a.toml", line: 3, key: null, message: "wrong" },
      { severity: "warning", file: "/m/b.toml", line: null, key: null, message: "odd" },
    ];
    const text = serveMessage(fakeStatus({ notices }), true, null).join("\n");
    expect(text).toContain("error: /m/a.toml:3: wrong");
    expect(text).toContain("1 configuration warning:");
  });
});

describe("stop says what it waits for", () => {
  test("requests first, then instances, then the process", () => {
    expect(describeWait(fakeStatus({ instances: [fakeInstance({ inFlight: 2 })] }))).toContain(
      "2 running requests may finish",
    );
    expect(describeWait(fakeStatus())).toContain("1 instance is ending");
    expect(describeWait(fakeStatus({ instances: [fakeInstance({ pid: null })] }))).toBe("stopping the daemon");
    expect(describeWait(null)).toBe("stopping the daemon");
  });
});

describe("reload says", () => {
  test("what changed, or that nothing did", () => {
    expect(
      reloadMessage({ added: ["a"], changed: ["b", "c"], removed: [], restartSettings: ["server.http_addr"] }),
    ).toEqual(["Added: a", "Changed: b, c", "server.http_addr changed: `assistant restart` applies it"]);
    expect(reloadMessage({ unchanged: ["a"] })).toEqual(["Reloaded; no model changed."]);
  });
});
