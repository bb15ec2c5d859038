import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAssistantError } from "../../../src/core/errors.ts";
import { canonicalReference, parseReference } from "../../../src/models/reference.ts";

const base = { cwd: "/work dir", home: "/home/me" };
const hub = (repo: string, file: string | null, quantisation: string | null = null, revision = "main") => ({
  type: "huggingface",
  repo,
  file,
  quantisation,
  revision,
});

const ollama = (path: string, tag: string, host = "registry.ollama.ai") => ({ type: "ollama", host, path, tag });
const carried = (registry: string, name: string, version: string | null = null, member: string | null = null) => ({
  type: "package",
  registry,
  name,
  version,
  member,
});

describe("a reference", () => {
  it.each([
    ["hf:acme/tiny/tiny.gguf", hub("acme/tiny", "tiny.gguf")],
    ["hf:acme/tiny/sub/dir/tiny.gguf", hub("acme/tiny", "sub/dir/tiny.gguf")],
    ["hf:acme/tiny/tiny.gguf@v1.0", hub("acme/tiny", "tiny.gguf", null, "v1.0")],
    ["hf:acme/tiny", hub("acme/tiny", null)],
    ["hf://acme/tiny:Q8_0", hub("acme/tiny", null, "Q8_0")],
    ["acme/tiny:tiny.gguf", hub("acme/tiny", "tiny.gguf")],
    ["acme/tiny:Q4_K_M", hub("acme/tiny", null, "Q4_K_M")],
    ["hf.co/acme/tiny:latest", hub("acme/tiny", null)],
    ["huggingface.co/acme/tiny:IQ4_XS", hub("acme/tiny", null, "IQ4_XS")],
    ["https://huggingface.co/acme/tiny/blob/main/tiny.gguf", hub("acme/tiny", "tiny.gguf")],
    ["https://huggingface.co/acme/tiny/resolve/v2/tiny.gguf?download=true", hub("acme/tiny", "tiny.gguf", null, "v2")],
    ["hf:acme/voices/en/joe.onnx", hub("acme/voices", "en/joe.onnx")],
    ["https://huggingface.co/acme/voices/resolve/main/en/joe.onnx", hub("acme/voices", "en/joe.onnx")],
    ["https://example.com/a/b.gguf", { type: "url", url: new URL("https://example.com/a/b.gguf") }],
    ["ollama:llama3.2:1b", ollama("library/llama3.2", "1b")],
    ["ollama:me/mine", ollama("me/mine", "latest")],
    ["ollama:hub.example:8443/me/mine:v1", ollama("me/mine", "v1", "hub.example:8443")],
    ["pypi:llm-tiny", carried("pypi", "llm-tiny")],
    ["pypi:llm-tiny==0.1.2#llm_tiny/a.gguf", carried("pypi", "llm-tiny", "0.1.2", "llm_tiny/a.gguf")],
    ["npm:@acme/tiny@1.0.0", carried("npm", "@acme/tiny", "1.0.0")],
    ["npm:tiny#models/a.gguf", carried("npm", "tiny", null, "models/a.gguf")],
    ["./x.gguf", { type: "path", path: "/work dir/x.gguf" }],
    ["x.gguf", { type: "path", path: "/work dir/x.gguf" }],
    ["models/x.gguf", { type: "path", path: "/work dir/models/x.gguf" }],
    ["~/x.gguf", { type: "path", path: "/home/me/x.gguf" }],
    ["/abs/weights", { type: "path", path: "/abs/weights" }],
  ])("%s", (text, expected) => {
    expect(parseReference(text, base)).toEqual(expected);
  });

  it.each(["smollm2", "SmolLM2", "smollm2:latest", " smollm2 "])("%j is the catalog's", (text) => {
    const reference = parseReference(text, base);
    expect(reference).toMatchObject({ type: "catalog", entry: { name: "smollm2" } });
    expect(reference.type === "catalog" && canonicalReference(reference)).toBe("smollm2");
  });

  it("of three parts is a file where there is one, and the hub's otherwise", async () => {
    const cwd = await mkdtemp(join(tmpdir(), "assistant-ref-"));
    expect(parseReference("a/b/c.gguf", { ...base, cwd })).toEqual(hub("a/b", "c.gguf"));
    await rm(cwd, { recursive: true });
    expect(parseReference("./a/b/c.gguf", { ...base, cwd })).toMatchObject({ type: "path" });
    await writeFile(join(tmpdir(), "assistant-ref.gguf"), "");
    expect(parseReference("assistant-ref.gguf", { ...base, cwd: tmpdir() })).toMatchObject({ type: "path" });
    await rm(join(tmpdir(), "assistant-ref.gguf"));
  });

  it("that is misspelt names what is near", () => {
    expect(() => parseReference("smolm2", base)).toThrow(
      expect.objectContaining({ code: "unknown_source", remedy: expect.stringContaining("Did you mean smollm2?") }),
    );
  });

  it.each([
    "hf:acme",
    "hf:../../etc/x.gguf",
    "acme/ti ny:Q4",
    "hf:acme/tiny/../x.gguf",
    "hf:acme/tiny/file.bin",
    "acme/tiny:../x",
    "https://me:secret@example.com/x.gguf",
    "http://",
    "ollama:../x",
    "ollama:me/..",
    "ollama:x:..",
    "pypi:--index-url",
    "pypi:a b",
    "npm:me/repo",
    "npm:tiny@file:../x",
  ])("%s is refused", (text) => {
    expect(() => parseReference(text, base)).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it.each([
    "ollama:llama3.2:1b",
    "ollama:hub.example/me/mine:v1",
    "pypi:llm-tiny==0.1.2#llm_tiny/a.gguf",
    "npm:@acme/tiny@1.0.0",
  ])("%s is its own canonical form", (text) => {
    const reference = parseReference(text, base);
    expect(reference.type !== "huggingface" && canonicalReference(reference)).toBe(text);
  });

  it("never makes a hub path out of anything but plain names", () => {
    const piece = fc.oneof(
      fc.constantFrom("..", ".", "", "a", "b.gguf", "%2e%2e", "@", ":", "x y"),
      fc.string({ maxLength: 8 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 6 }),
        fc.constantFrom("hf:", "hf.co/", ""),
        (parts, prefix) => {
          try {
            const reference = parseReference(`${prefix}${parts.join("/")}`, base);
            if (reference.type !== "huggingface") return;
            for (const part of [
              ...reference.repo.split("/"),
              reference.revision,
              ...(reference.file?.split("/") ?? []),
            ])
              expect(part).toMatch(/^\w[\w.-]*$/);
          } catch (error) {
            expect(isAssistantError(error)).toBe(true);
          }
        },
      ),
    );
  });
});
