import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { setKeys } from "../../../src/config/edit.ts";
import { parseToml } from "../../../src/config/toml.ts";

const text = `# My model.
[server]
socket_addr = ""

[chat] # the model itself
model_name = "smol"   # a name
devices = [
  "cpu", # threads = 9
]
threads = 8           # as many as there are

ctx_size = 2048
"batch_size" = 512
cache_type_k = 'f16' # "exact"

[embedding]
threads = 1
`;

describe("setting keys in a file", () => {
  it("replaces values alone: comments, order, quoting and other sections stay", () => {
    const edited = setKeys("m.toml", text, "chat", { threads: 2, batch_size: 32, cache_type_k: "q8_0" });
    expect(edited.text).toBe(
      text.replace("threads = 8 ", "threads = 2 ").replace("= 512", "= 32").replace("'f16'", '"q8_0"'),
    );
    expect(edited.changes).toEqual([
      {
        line: 10,
        before: "threads = 8           # as many as there are",
        after: "threads = 2           # as many as there are",
      },
      { line: 13, before: '"batch_size" = 512', after: '"batch_size" = 32' },
      { line: 14, before: `cache_type_k = 'f16' # "exact"`, after: `cache_type_k = "q8_0" # "exact"` },
    ]);
  });

  it("adds missing keys behind their neighbours", () => {
    const edited = setKeys("m.toml", text, "chat", { slots: 4, ubatch_size: 32 }, ["ctx_size"]);
    expect(edited.text).toBe(text.replace("ctx_size = 2048\n", "ctx_size = 2048\nslots = 4\nubatch_size = 32\n"));
    expect(edited.changes).toEqual([
      { line: 13, before: null, after: "slots = 4" },
      { line: 14, before: null, after: "ubatch_size = 32" },
    ]);
  });

  it("adds them below the section's head where there is no neighbour", () => {
    expect(setKeys("m.toml", text, "embedding", { slots: 4 }).text).toContain("[embedding]\nslots = 4\nthreads = 1\n");
  });

  it("keeps Windows line ends, a byte order mark and a missing last line end", () => {
    const windows = "\ufeff[chat]\r\nthreads = 8\r\nslots = 2";
    expect(setKeys("m.toml", windows, "chat", { slots: 4, batch_size: 32 }).text).toBe(
      "\ufeff[chat]\r\nthreads = 8\r\nslots = 4\r\nbatch_size = 32",
    );
  });

  it("changes nothing where the values are there already", () => {
    expect(setKeys("m.toml", text, "chat", { threads: 8 })).toEqual({ text, changes: [] });
  });

  it("is right about dotted keys", () => {
    expect(setKeys("m.toml", "chat.threads = 8\nchat.slots = 2\n", "chat", { threads: 2 }).text).toBe(
      "chat.threads = 2\nchat.slots = 2\n",
    );
  });

  it.each([
    ["an inline table", "chat = { threads = 8, slots = 2 }\n"],
    ["a value of several lines", '[chat]\ncache_type_k = """f16"""\nthreads = 8\n'],
    ["dotted keys that would have to grow", "chat.slots = 2\n"],
    ["no such section", "[embedding]\nthreads = 8\n"],
  ])("leaves %s alone, and says what to write", (_, layout) => {
    expect(() => setKeys("m.toml", layout, "chat", { threads: 2, cache_type_k: "q8_0" })).toThrow(
      expect.objectContaining({
        code: "config_invalid",
        remedy: expect.stringContaining('threads = 2, cache_type_k = "q8_0"'),
      }),
    );
  });

  it("never says anything else than what was asked, whatever the file looks like", () => {
    const piece = fc.constantFrom(
      "[chat]",
      "[server]",
      "threads = 8",
      "slots=2 # x",
      "  batch_size = 1_024",
      '"slots" = 3',
      "# threads = 5",
      "",
      "devices = [",
      '"a",',
      "]",
    );
    const layout = fc.array(piece, { maxLength: 12 }).map((lines) => lines.join("\n"));
    const values = fc.record(
      { threads: fc.integer({ min: 1, max: 64 }), slots: fc.integer({ min: 1, max: 64 }) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(layout, values, (before, wanted) => {
        let data: Record<string, unknown>;
        let edited: string;
        try {
          data = { ...parseToml("m.toml", before).data };
          edited = setKeys("m.toml", before, "chat", wanted).text;
        } catch {
          return;
        }
        expect(parseToml("m.toml", edited).data).toEqual({
          ...data,
          chat: { ...(data["chat"] as object | undefined), ...wanted },
        });
        expect(edited.split("\n").filter((line) => line.startsWith("#"))).toEqual(
          before.split("\n").filter((line) => line.startsWith("#")),
        );
      }),
      { numRuns: 2000 },
    );
  });
});
