import { readFile, writeFile } from "node:fs/promises";
import fc from "fast-check";
import { expect, it } from "vitest";
import { isAssistantError } from "../../../src/core/errors.ts";
import { site } from "./support.ts";

const fixture = (name: string): Promise<string> => readFile(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const scraps = fc.constantFrom(
  "",
  "\n",
  "[",
  "]",
  "[[",
  '"',
  "'",
  "=",
  "{",
  "}",
  ",",
  "#",
  "x",
  "-1",
  "1e400",
  "nan",
  "true",
  "\\u0000",
  "[server]\n",
  "__proto__ = 1\n",
  "[constructor]\n",
  "[[chat]]\n",
  "ä",
);

/** A text with some stretches replaced by scraps. */
const damaged = (text: string): fc.Arbitrary<string> =>
  fc
    .array(fc.record({ at: fc.nat(text.length), length: fc.nat(12), scrap: scraps }), { minLength: 1, maxLength: 4 })
    .map((cuts) =>
      cuts.reduce((left, { at, length, scrap }) => left.slice(0, at) + scrap + left.slice(at + length), text),
    );

it("whatever is damaged, loading ends with a configuration or with config_invalid", async () => {
  const [main, model] = [await fixture("reference-config.toml"), await fixture("reference-model.toml")];
  await using at = await site({ "config.toml": main });
  await fc.assert(
    fc.asyncProperty(damaged(main), damaged(model), async (badMain, badModel) => {
      await writeFile(at.configFile, badMain);
      await writeFile(at.file("reference-model.toml"), badModel);
      try {
        const config = await at.load();
        for (const notice of config.notices) expect(notice.message).not.toBe("");
      } catch (error) {
        expect(isAssistantError(error) ? error.code : error).toBe("config_invalid");
      }
      // The model's file alone can never stop the main one.
      await writeFile(at.configFile, main);
      expect((await at.load()).http).not.toBeNull();
    }),
    { numRuns: 150 },
  );
});
