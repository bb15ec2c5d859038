import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { buildPipeline } from "../../../src/pipelines/pipeline.ts";
import { noticeLines, site } from "./support.ts";

const folder = (name: string): string => fileURLToPath(new URL(`../../../${name}/`, import.meta.url));
const environment = { DIFY_API_KEY: "app-key", RABBITMQ_URL: "amqp://127.0.0.1" };

test.each(readdirSync(folder("templates/pipelines")))(
  "templates/pipelines/%s is a pipeline that fits",
  async (name) => {
    await using at = await site({
      "config.toml": "",
      [`pipelines/${name}`]: readFileSync(`${folder("templates/pipelines")}${name}`, "utf8"),
    });
    const config = await at.load();
    expect(noticeLines(config, at)).toEqual([]);
    const [spec] = config.pipelines;
    if (spec === undefined) throw new Error("no pipeline was read");
    const { report, stages } = await buildPipeline(
      spec,
      (variable) => environment[variable as keyof typeof environment],
    );
    expect(report.text).toContain("✅");
    for (const stage of stages) await stage.close?.();
  },
);

test.each([
  ["an unknown key", '[[stages]]\nuse = "splitter"\nmark = "."', "unknown key or section (did you mean `marks`?)"],
  ["a missing key", '[[stages]]\nuse = "model"', "`model` is missing: expected a non-empty string"],
  ["an unknown kind", '[[stages]]\nuse = "spliter"', 'expected one of "model", "splitter"'],
  ["an unknown kind that is near one", '[[stages]]\nuse = "spliter"', '(did you mean "splitter"?)'],
  ["a stage's wrong type", '[[stages]]\nuse = "model"\nmodel = 7', "expected a non-empty string, found 7"],
  ["a password in a URL", '[[stages]]\nuse = "http"\nurl = "http://u:p4ss@x/"', "not shown, as it may be a secret"],
  [
    "an address of another database",
    '[[stages]]\nuse = "sql"\ndatabase = "postgres://u:p4ss@db/x"\nstatement = "x"',
    "the path of an SQLite database (other databases are not supported)",
  ],
  ["an unknown direction", '[[stages]]\nuse = "opencc"\nconfig = "s2ttw"', 'found "s2ttw" (did you mean "s2t'],
  [
    "two places of Redis",
    '[[stages]]\nuse = "redis"\nlist = "a"\nstream = "b"',
    "expected one of `list`, `stream` and `channel`, found list and stream",
  ],
  [
    "an address that is none",
    '[[stages]]\nuse = "redis"\nurl = "localhost"\nlist = "a"',
    "an address that begins with redis://",
  ],
  [
    "a body that GET does not send",
    '[[stages]]\nuse = "http"\nurl = "http://x/"\nmethod = "GET"\nbody = { a = 1 }',
    "expected no `body`",
  ],
  ["no kind", '[[stages]]\nname = "x"', "`use` is missing"],
  ["a wrong value", '[[stages]]\nuse = "http"\nurl = "ftp://x"', "expected an http or https URL"],
  ["an unknown source", '[source]\nuse = "kafka"', '`use` must be one of "rabbitmq", "redis", "sql"; found "kafka"'],
  ["what is not TOML", "[[stages", "not valid TOML"],
])("%s is reported with its place, and the other pipelines serve", async (_, toml, message) => {
  await using at = await site({
    "config.toml": "",
    "pipelines/bad.toml": toml,
    "pipelines/good.toml": '[[stages]]\nuse = "splitter"',
  });
  const config = await at.load();
  expect(config.pipelines.map(({ name }) => name)).toEqual(["good"]);
  const [line = ""] = noticeLines(config, at);
  expect(line).toMatch(/pipelines\/bad\.toml:\d/);
  expect(line).not.toContain("p4ss");
  expect(line).toContain(message);
  expect(line).toContain("the pipeline is left out");
});

test("of two that are marked default the first is", async () => {
  const toml = 'default = true\n[[stages]]\nuse = "splitter"';
  await using at = await site({ "config.toml": "", "pipelines/a.toml": toml, "pipelines/b.toml": toml });
  const config = await at.load();
  expect(config.pipelines.map(({ name, isDefault }) => [name, isDefault])).toEqual([
    ["a", true],
    ["b", false],
  ]);
  expect(noticeLines(config, at)).toHaveLength(1);
});

test("stages of the same kind get names that differ", async () => {
  await using at = await site({
    "config.toml": "",
    "pipelines/a.toml": '[[stages]]\nuse = "splitter"\n[[stages]]\nuse = "splitter"',
  });
  const [spec] = (await at.load()).pipelines;
  expect(spec?.stages.map(({ name }) => name)).toEqual(["splitter", "splitter-2"]);
});

test("pipelines that ask themselves, by way of each other too, are left out", async () => {
  const asks = (model: string): string => `[[stages]]\nuse = "model"\nmodel = "${model}"`;
  await using at = await site({
    ...{ "config.toml": "", "pipelines/self.toml": asks("self"), "pipelines/a.toml": asks("b") },
    ...{ "pipelines/b.toml": asks("a"), "pipelines/c.toml": asks("a") },
  });
  const config = await at.load();
  expect(config.pipelines.map(({ name }) => name)).toEqual(["c"]);
  expect(noticeLines(config, at).join()).toContain("its stages ask the pipeline itself: a -> b -> a");
});
