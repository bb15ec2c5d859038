import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { engineMetrics, mergeMetrics } from "../../../src/daemon/engine-metrics.ts";

const page = (value: number): string =>
  `# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.\n# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total ${value}\nllamacpp:other{slot="0"} 1\n`;

test("samples of several engines are grouped by metric, each with its labels before its own", () => {
  expect(
    mergeMetrics([
      { page: page(3), labels: 'model="a",instance="a@cpu"' },
      { page: "", labels: 'model="b",instance="b@cpu"' },
      { page: page(5), labels: 'model="c",instance="c@cpu"' },
    ]).split("\n"),
  ).toEqual([
    "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.",
    "# TYPE llamacpp:prompt_tokens_total counter",
    'llamacpp:prompt_tokens_total{model="a",instance="a@cpu"} 3',
    'llamacpp:prompt_tokens_total{model="c",instance="c@cpu"} 5',
    "",
    'llamacpp:other{model="a",instance="a@cpu",slot="0"} 1',
    'llamacpp:other{model="c",instance="c@cpu",slot="0"} 1',
    "",
  ]);
});

test("an engine whose page is longer than any real one is left out", async () => {
  const line = Buffer.from(`${page(1)}${"# filler\n".repeat(1_000)}`);
  let lines = 1;
  const server = createServer((_, response) => {
    for (let count = 0; count < lines; count++) response.write(line);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = () => engineMetrics([{ id: "a@cpu", model: "a", state: "ready", endpoint }]);
  expect(await ask()).toContain('llamacpp:prompt_tokens_total{model="a",instance="a@cpu"} 1');
  lines = 300;
  expect(await ask()).toBe("");
  server.closeAllConnections();
  server.close();
});
