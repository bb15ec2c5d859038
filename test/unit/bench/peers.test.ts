import fc from "fast-check";
import { expect, test } from "vitest";
import {
  armTable,
  ceilingOf,
  figures,
  type Measured,
  meets,
  ratios,
  ratioTable,
  type Sample,
} from "../../../bench/peers/compare.ts";
import { findPeers, versionIn } from "../../../bench/peers/find.ts";
import { launchOf, nginxConfig, type Place, requestOf, routerPreset } from "../../../bench/peers/launch.ts";
import { parseStat, treeOf } from "../../../bench/peers/tree.ts";
import { AnswerReader, contentOf, EventCounter } from "../../../bench/peers/wire.ts";

const sample = (rate: number, more: Sample = {}): Sample => ({
  requestsPerSecond32: rate,
  p99At32Us: 1e6 / rate,
  cpuPerChunkUs: 30,
  gapP99Us: 11_000,
  ...more,
});
const measured = (arm: string, samples: readonly Sample[]): Measured => ({ arm, samples, failed: {} });
const place: Place = {
  ...{
    directory: "/tmp/x",
    port: 4000,
    program: "/bin/peer",
    asRoot: false,
    node: "/bin/node",
    routerChild: "/bench/child.ts",
  },
  stub: { port: 5000, socketPath: "/tmp/x/stub.sock" },
};

test("ratios pair the rounds, tell goals met from missed, and keep quiet about what has no figure", () => {
  const all = [
    measured("direct", [sample(40_000), sample(20_000)]),
    measured("daemon", [sample(10_000), sample(5_000)]),
    measured("olla", [sample(4_000), sample(2_500)]),
    measured("portkey", [{}, {}]),
    // Nobody set a goal against itself.
    measured("unknown", [sample(1), sample(1)]),
  ];
  const found = ratios(all);
  const of = (arm: string, measure: string) => found.find((ratio) => ratio.arm === arm && ratio.measure === measure);
  expect(of("olla", "requests/s at 32")).toMatchObject({
    goal: "≥ 2.5",
    met: true,
    spread: { median: 2.5, low: 2, high: 2.5 },
  });
  expect(of("olla", "CPU per chunk")).toMatchObject({ goal: "≤ 1", met: true, spread: { median: 1 } });
  expect(of("olla", "p99 at 32")).toMatchObject({ goal: "< 1", met: true });
  expect(of("portkey", "requests/s at 32")).toMatchObject({ goal: "≥ 15", met: null, spread: null });
  expect(new Set(found.map(({ arm }) => arm))).toEqual(new Set(["olla", "portkey"]));
  expect(ratioTable(found).find(([name]) => name === "daemon ÷ portkey")).toEqual([
    "daemon ÷ portkey",
    "requests/s at 32",
    "–",
    "≥ 15",
    "",
  ]);
  expect(meets(1, "< 1")).toBe(false);
  expect(meets(1, "")).toBeNull();
});

test("delay is what is above the stub's pace", () => {
  const all = [
    measured("daemon", [sample(1, { gapP99Us: 10_300 })]),
    measured("olla", [sample(1, { gapP99Us: 10_200 })]),
  ];
  const delay = ratios(all).find(({ measure }) => measure === "delay of chunks p99");
  expect(delay?.spread?.median).toBeCloseTo(1.5);
});

test("a rate that the stub bounds is marked, and an arm that failed a workload has no figure of it", () => {
  const direct = measured("direct", [sample(10_000)]);
  const nginx = measured("nginx", [sample(8_000)]);
  const portkey = measured("portkey", [{ requestsPerSecond32: 500 }]);
  expect(ceilingOf(nginx, direct, "requestsPerSecond32")).toBe(1.25);
  expect(ceilingOf(direct, direct, "requestsPerSecond32")).toBeNull();
  expect(figures(nginx, direct).find(({ measure }) => measure === "requestsPerSecond32")).toMatchObject({
    bounded: true,
  });
  expect(figures(portkey, direct).map(({ measure }) => measure)).toEqual(["requestsPerSecond32"]);
  const [head, , marked, failed] = armTable([direct, nginx, portkey], direct);
  const column = (title: string) => (head ?? []).indexOf(title);
  expect(marked?.[column("req/s, 32")]).toBe("8000*");
  expect(failed?.[column("req/s, 32")]).toBe("500");
  expect(failed?.[column("CPU µs/chunk")]).toBe("–");
});

test("a peer that is not there says what is missing", () => {
  const places = { path: "/opt/peers:/usr/bin", llamaServer: null, isProgram: () => false };
  const missing = Object.fromEntries(
    findPeers(["olla", "llama-swap", "nginx", "ollama"], places).map((found) => [
      found.peer,
      "missing" in found && found.missing,
    ]),
  );
  expect(missing).toEqual({
    olla: "no program `olla` on the PATH",
    "llama-swap": "no program `llama-swap` on the PATH",
    nginx: "not installed; `npm run bench -- peers --install` does it",
    ollama: "no program `ollama` on the PATH",
  });
  const here = findPeers(["ollama"], { ...places, isProgram: (file) => file === "/opt/peers/ollama" });
  expect(here).toMatchObject([{ missing: expect.stringContaining("not measured here") }]);
});

test("a version is found among warnings and ornaments", () => {
  expect(versionIn("nginx version: nginx/1.22.1\n")).toBe("nginx/1.22.1");
  expect(versionIn("12:00 WARNING: no version 1\n\nLiteLLM: Current Version = 1.2.3\n")).toBe("1.2.3");
  expect(versionIn("│   Olla v0.1.2   │")).toBe("Olla v0.1.2");
  expect(versionIn("nothing")).toBeNull();
});

test("each peer is pointed at the stub, listens on its own port and writes nothing outside its folder", () => {
  for (const peer of ["nginx", "llama-swap", "olla", "litellm", "portkey", "llama-server-router"] as const) {
    const launch = launchOf(peer, place);
    const text = [...launch.args, ...Object.values(launch.files)].join("\n");
    expect(Object.keys(launch.files).every((file) => file.startsWith("/tmp/x/"))).toBe(true);
    expect(text).toContain("4000");
    // The router starts a stub of its own; Portkey is told with each request.
    if (peer === "llama-server-router")
      expect(launch.files["/tmp/x/engine"]).toContain('exec "/bin/node" "/bench/child.ts" "$@"');
    else if (peer === "portkey")
      expect(requestOf(peer, 5000).headers).toMatchObject({ "x-portkey-custom-host": "http://127.0.0.1:5000/v1" });
    else expect(text).toMatch(/127\.0\.0\.1:5000|unix:\/tmp\/x\/stub\.sock/);
  }
  expect(nginxConfig({ ...place, asRoot: true })).toContain("user root;");
  expect(nginxConfig(place)).not.toContain("user root;");
  expect(routerPreset(place)).toContain("[stub]\nmodel = /tmp/x/stub.gguf");
});

test("a tree is a process with what it started, without the stub and what that started", () => {
  const one = (pid: number, parent: number, name = "x") =>
    parseStat(`${pid} (${name}) S ${parent} 1 1 0 -1 0 0 0 0 0 7 3 0 0 20 0 1 0 ${pid * 100} 0 25 0`);
  const all = [one(1, 0), one(2, 1, "a) (b"), one(3, 2), one(4, 1, "stub"), one(5, 4), one(9, 0)];
  expect(all[1]).toEqual({ pid: 2, parent: 1, startedAt: 200 });
  expect(treeOf(1, all, (pid) => pid === 4).map(({ pid }) => pid)).toEqual([1, 2, 3]);
});

const answersOnTheWire = [
  { wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello" },
  {
    wire: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n",
    body: "hello",
  },
  { wire: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", body: "" },
];

test("answers are read alike however they are cut, one after the other on a connection", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...answersOnTheWire), { minLength: 1, maxLength: 4 }),
      cuts,
      (answers, lengths) => {
        let body = "";
        const reader = new AnswerReader((bytes) => {
          body += bytes.toString("latin1");
        });
        for (const answer of answers) {
          const wire = Buffer.from(answer.wire);
          let at = 0;
          let complete = false;
          for (const length of [...lengths, wire.length]) {
            if (at >= wire.length) break;
            complete = reader.feed(wire.subarray(at, at + length));
            at += length;
            expect(complete).toBe(at >= wire.length);
          }
          expect(body).toBe(answer.body);
          expect(reader.underWay).toBe(false);
          body = "";
        }
      },
    ),
  );
});

test("an answer may end with its connection, and what is no HTTP is refused", () => {
  const reader = new AnswerReader(() => {});
  expect(reader.feed(Buffer.from("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel"))).toBe(false);
  expect([reader.closes, reader.end()]).toEqual([true, true]);
  expect(() => new AnswerReader(() => {}).feed(Buffer.from("SSH-2.0\r\n\r\n"))).toThrow("not an HTTP answer");
});

test("events are counted however their lines are cut, and their text is joined", () => {
  const event = (text: string) => `data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\n`;
  const stream = `: hello\n\n${event("a")}${event("b")}data: ${JSON.stringify({ choices: [] })}\n\ndata: [DONE]\n\n`;
  const counter = new EventCounter();
  expect([...stream].reduce((sum, letter) => sum + counter.count(letter), 0)).toBe(4);
  expect(contentOf(stream, true)).toBe("ab");
  expect(contentOf(JSON.stringify({ choices: [{ message: { content: "whole" } }] }), false)).toBe("whole");
  expect(() => contentOf('{"error":{}}', false)).toThrow("without `choices`");
});
