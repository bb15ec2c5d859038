import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { type ProviderPreset, providerPresets } from "../../../src/config/provider-presets.ts";

it("docs/providers.md lists every preset as it is", () => {
  const page = readFileSync(new URL("../../../docs/providers.md", import.meta.url), "utf8");
  const rows = Object.entries<ProviderPreset>(providerPresets).map(
    ([name, { type, baseUrl, keyVariable, limitField }]) =>
      `| \`${name}\` | ${type} | ${baseUrl} | ${keyVariable === null ? "none" : `\`${keyVariable}\``} | ${limitField === null ? "" : `\`${limitField}\``} |`,
  );
  expect(
    page.slice(page.indexOf("<!-- presets -->"), page.indexOf("<!-- end -->")).trim().split("\n").slice(1),
  ).toEqual(rows);
});
