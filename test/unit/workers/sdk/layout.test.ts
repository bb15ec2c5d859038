import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ChatRecord,
  ContextualCC,
  DummyModel,
  defaultLayout,
  FinalUserFilter,
  Layout,
  loadLayout,
  OpenCC,
  ReflectModel,
} from "../../../../src/workers/sdk/index.ts";

let cwd = "";
const context = { daemonUrl: "http://127.0.0.1:1", apiKey: null };
const user = (msg: string): ChatRecord => ({ role: "user", msg });
const bot = (msg: string): ChatRecord => ({ role: "bot", msg });

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "assistant-layout-"));
  await writeFile(
    join(cwd, "mine.mjs"),
    `export class Letters { *complete(history) { for (const letter of history.at(-1).msg) yield { role: letter === "u" ? "user" : "bot", msg: letter }; } }
     export class Strict { constructor({ must }) { if (!must) throw new TypeError("must is missing"); } *complete() {} }
     export const notAClass = 1;`,
  );
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

const load = async (yaml: string): Promise<Layout> => {
  await writeFile(join(cwd, "layout.yaml"), yaml);
  return await loadLayout("layout.yaml", { cwd, context });
};

async function answer(layout: Layout, history: readonly ChatRecord[]): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of layout.run(history, { signal: new AbortController().signal })) pieces.push(piece);
  return pieces;
}

describe("a layout", () => {
  test("filters the history on its way in and each piece on its way out", async () => {
    const layout = await load(`version: 1
llm: { class: mine.Letters }
ingress-filters:
  - { class: filters.history.FinalUserFilter }
  - { class: filters.opencc.OpenCC, args: { config: t2s } }
egress-filters:
  - { class: OpenCC, args: { config: s2t } }
`);
    expect(layout.mainClass).toBe("mine.Letters");
    // What the model gives the role of the user reaches nobody.
    expect(await answer(layout, [user("一"), bot("二"), user("漢u字")])).toEqual(["漢", "字"]);
  });

  test("may be a process in the place of all", async () => {
    const layout = await load("version: 1\noverride-process: { class: SlowReflectProcess, args: { delay_sec: 0 } }");
    expect(await answer(layout, [user("ab")])).toEqual(["a", "b"]);
  });

  test("that is the default says one sentence, a character at a time", async () => {
    const layout = new Layout({ llm: new DummyModel({ content: "no" }) });
    expect(await answer(layout, [user("hello")])).toEqual(["n", "o"]);
    expect([defaultLayout().isDefault, defaultLayout().mainClass]).toEqual([true, "DummyModel"]);
  });

  test.each([
    ["version: 2\nllm: { class: ReflectModel }", "version: expected 1, found 2"],
    ["llm: { class: ReflectModel }", "version: expected 1, found nothing"],
    ["version: 1", "llm: missing"],
    ["version: 1\nllm: { class: models.reflekt.ReflectModel }", "Did you mean models.reflect.ReflectModel"],
    ["version: 1\nllm: { class: filters.opencc.OpenCC }", "is no CompletionInterface: it has no method `complete`"],
    [
      "version: 1\nllm: { class: ReflectModel }\negress-filters: [{ class: ReflectModel }]",
      "egress-filters[0].class: ReflectModel is no TextLevelFilteringInterface",
    ],
    ["version: 1\nllm: { class: mine.Nothing }", 'exports no class "Nothing"; it exports Letters, Strict, notAClass'],
    ["version: 1\nllm: { class: mine.Strict }", "llm.args: must is missing"],
    ["version: 1\nllm: { class: ReflectModel }\nfilters: []", "filters: unknown key"],
    [
      "version: 1\nllm: { class: ReflectModel }\ningress-filters: [{ class: OpenCC, args: { config: s2x } }]",
      '"config" must be one of s2t',
    ],
    ["version: [", "not YAML"],
  ])("%j is refused", async (yaml, message) => {
    await expect(load(yaml)).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(message),
    });
  });
});

test("FinalUserFilter keeps the user's last message", () => {
  expect(new FinalUserFilter().filter([user("a"), bot("b"), user("c"), bot("d")])).toEqual([user("c")]);
  expect(new FinalUserFilter().filter([bot("b")])).toEqual([]);
});

test("ContextualCC converts words that pieces cut, and OpenCC does not", async () => {
  const pieces = ["这个软", "件好", "。网", "络"].map(bot);
  const through = async (filter: OpenCC | ContextualCC): Promise<string> => {
    const layout = new Layout({ llm: { complete: () => pieces }, egressFilters: [filter] });
    return (await answer(layout, [user("?")])).join("");
  };
  expect(await through(new ContextualCC({ dst_region: "tw" }))).toBe("這個軟體好。網路");
  expect(await through(new OpenCC({ config: "s2twp" }))).not.toBe("這個軟體好。網路");
});

test("ContextualCC keeps nothing of one answer for the next", async () => {
  const layout = new Layout({ llm: new ReflectModel(), egressFilters: [new ContextualCC({ dst_region: "cn" })] });
  expect(await Promise.all(["軟體", "網路"].map((text) => answer(layout, [user(text)])))).toEqual([["软件"], ["网络"]]);
});
