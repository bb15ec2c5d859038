import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type SchemaNode, schemaNode } from "../../../src/config/schema/kit.ts";
import { MainFile } from "../../../src/config/schema/main.ts";
import { ModelFile } from "../../../src/config/schema/model.ts";
import { packageRoot } from "../../support/assistant.ts";
import { cpuOnly, site, withGpus } from "./support.ts";

/** Every variable that the original documents. */
const VARIABLES =
  "APP_NAME APP_ENV DEBUG LOG_LEVEL SERVER_HOST SERVER_PORT SERVER_WORKERS REDIS_URL SESSION_TTL_SECONDS IDEMPOTENCY_TTL_SECONDS LOGS_MAX_RECENT WEBHOOK_TIMEOUT_SECONDS WEBHOOK_MAX_RETRIES HTTP_TIMEOUT_SECONDS MODELS_DIR DEFAULT_CONTEXT_WINDOW DEFAULT_MAX_TOKENS GPU_INDEX MAX_VRAM_USAGE_PERCENT VRAM_RESERVE_MB OPENAI_API_KEY ANTHROPIC_API_KEY GOOGLE_API_KEY GEMINI_API_KEY MISTRAL_API_KEY COHERE_API_KEY LITELLM_* LANGFUSE_ENABLED LANGFUSE_PUBLIC_KEY LANGFUSE_SECRET_KEY LANGFUSE_HOST HF_TOKEN HF_PRESETS_DIR HF_AUTO_DOWNLOAD ENABLE_JSON_FIXING CORS_ALLOWED_ORIGINS".split(
    " ",
  );

const page = await readFile(join(packageRoot, "docs/migration.md"), "utf8");
const rows = [...page.matchAll(/^\| (`.*?) \| (.*?) \| ?(.*?) ?\|$/gm)].map(([, names = "", here = "", note = ""]) => ({
  names: coded(names),
  here: coded(here),
  text: here,
  note,
}));

function coded(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? "");
}

/** Keys of a section, or of the tables of a list of them. */
const keysOf = (node: SchemaNode | undefined): string[] =>
  Object.keys(node?.properties ?? node?.items?.properties ?? {});

test("docs/migration.md names every variable of the original once, and what it is here", () => {
  expect(rows.flatMap(({ names }) => names).sort()).toEqual([...VARIABLES].sort());
  for (const { here, text, note } of rows) {
    if (here.length > 0) continue;
    expect(text).toBe("not needed");
    expect(note, "why").not.toBe("");
  }
});

test("each key that it names is one of the configuration, and each variable is read", async () => {
  const folder = join(packageRoot, "src");
  const files = (await readdir(folder, { recursive: true })).filter(
    (name) => name.endsWith(".ts") && name !== "config/environment.ts",
  );
  const sources = (await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")))).join("\n");
  const main = schemaNode(MainFile).properties ?? {};
  const ofModels = Object.values(schemaNode(ModelFile).properties ?? {}).flatMap(keysOf);
  for (const code of rows.flatMap(({ here }) => here)) {
    const [, section = "", key = ""] = /^\[{1,2}(\w+)\]{1,2} (\w+)$/.exec(code) ?? [];
    if (section !== "") expect(keysOf(main[section]), code).toContain(key);
    else if (/^[A-Z_]+$/.test(code)) expect(sources.includes(`"${code}"`), code).toBe(true);
    else expect(ofModels, code).toContain(code);
  }
});

test.each([
  [{ LOG_LEVEL: "WARNING" }, "", "warn"],
  [{ LOG_LEVEL: "critical" }, "", "error"],
  [{ LOG_LEVEL: "debug" }, '[log]\nlevel = "error"\n', "error"],
  [{ LOG_LEVEL: "debug", ASSISTANT_LOG_LEVEL: "error" }, "", "error"],
])("with %j and the file %j the level is %s", async (env, toml, level) => {
  await using at = await site({ "config.toml": toml });
  expect((await at.load({ env })).logLevel).toBe(level);
});

test("what is reserved of GPUs is in the file, else in the environment", async () => {
  const env = { MAX_VRAM_USAGE_PERCENT: "80", VRAM_RESERVE_MB: "512" };
  await using at = await site({ "config.toml": "[scheduler]\nvram_reserve_mib = 256\n" });
  expect((await at.load({ env, hardware: withGpus(1) })).vramReserve).toEqual({ maxPercent: 80, bytes: 256 * 2 ** 20 });
  await using other = await site({ "config.toml": "" });
  expect((await other.load()).vramReserve).toEqual({ maxPercent: 95, bytes: 1024 * 2 ** 20 });
});

test("a variable that another program means has no effect, which is said", async () => {
  await using at = await site({ "config.toml": "" });
  const { notices, logLevel, vramReserve } = await at.load({
    env: { LOG_LEVEL: "verbose", VRAM_RESERVE_MB: "some" },
    hardware: cpuOnly(),
  });
  expect([logLevel, vramReserve.bytes]).toEqual(["info", 1024 * 2 ** 20]);
  expect(notices.map(({ file, severity }) => [file, severity])).toEqual([
    ["LOG_LEVEL", "warning"],
    ["VRAM_RESERVE_MB", "warning"],
  ]);
});

test("either of Google's variables is taken", async () => {
  await using at = await site({ "config.toml": '[[providers]]\npreset = "google"\n' });
  for (const name of ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
    expect((await at.load({ env: { [name]: "k" } })).providers).toMatchObject([{ apiKey: "k" }]);
});
