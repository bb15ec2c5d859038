import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { noticeLines, site, withGpus } from "./support.ts";

const folder = fileURLToPath(new URL("../../../examples/", import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith(".toml"));

test.each(files)("examples/%s is a model file without a mistake, and the page lists it", async (name) => {
  await using at = await site({ [`models/${name}`]: readFileSync(`${folder}${name}`, "utf8") });
  const config = await at.load({ hardware: withGpus(1) });
  expect(noticeLines(config, at)).toEqual([]);
  expect(config.models).toMatchObject([{ name: name.replace(".toml", ""), engine: "command" }]);
  expect(readFileSync(`${folder}README.md`, "utf8")).toContain(`](${name})`);
});
