import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DocumentType } from "../../../src/core/documents.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { JsonDocuments } from "../../../src/store/json-documents.ts";

interface Colour {
  readonly colour: string;
}
const colour: DocumentType<Colour> = {
  title: "colour",
  schema: 2,
  durable: true,
  parse: (value) => (typeof (value as Colour | null)?.colour === "string" ? (value as Colour) : null),
};
const strict: DocumentType<Colour> = {
  ...colour,
  refuse: (file) => new AssistantError("config_invalid", `${file} is damaged`),
};

let root: string;
let directory: string;
let file: string;
let problems: string[];
let documents: JsonDocuments;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-documents-"));
  directory = join(root, "data");
  file = join(directory, "favourite.json");
  problems = [];
  documents = new JsonDocuments({
    directory,
    fileMode: 0o600,
    directoryMode: 0o700,
    report: (problem) => problems.push(problem),
  });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const put = async (text: string): Promise<void> => {
  await mkdir(directory, { recursive: true });
  await writeFile(file, text);
};
const aside = async (): Promise<string[]> =>
  (await readdir(directory)).filter((name) => name.startsWith("favourite.json.damaged-"));

describe("a document", () => {
  it("is null before it is written, and then what was written", async () => {
    expect(await documents.read("favourite", colour)).toBeNull();
    await documents.write("favourite", colour, { colour: "red" });
    await documents.write("favourite", colour, { colour: "blue" });
    expect(await documents.read("favourite", colour)).toEqual({ colour: "blue" });
    expect(documents.locate("favourite")).toBe(file);
    expect(problems).toEqual([]);
  });

  it("is one readable file that only its owner reads, in a directory that only its owner opens", async () => {
    await documents.write("favourite", colour, { colour: "red" });
    expect(await readFile(file, "utf8")).toBe('{\n  "colour": "red"\n}\n');
    expect(await readdir(directory)).toEqual(["favourite.json"]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  it("is gone once removed; removing what is not there is no error", async () => {
    await documents.remove("favourite", colour);
    await documents.write("favourite", colour, { colour: "red" });
    await documents.remove("favourite", colour);
    expect(await documents.read("favourite", colour)).toBeNull();
    expect(await readdir(directory)).toEqual([]);
  });

  it("keeps its old value when the new one cannot be written", async () => {
    await documents.write("favourite", colour, { colour: "red" });
    const circular: { colour: string; self?: unknown } = { colour: "blue" };
    circular.self = circular;
    await expect(documents.write("favourite", colour, circular)).rejects.toThrow();
    expect(await documents.read("favourite", colour)).toEqual({ colour: "red" });
  });

  it("without a format is one of the first format", async () => {
    await put('{"colour":"red"}');
    expect(await documents.read("favourite", { ...colour, schema: 1 })).toEqual({ colour: "red" });
  });
});

describe.each(["", "{", "null", "[]", '"red"', '{"colour":3}', '{"schema":1}', '{"schema":"3","colour":3}'])(
  "a damaged document (%j)",
  (text) => {
    it("reads as none, is reported and stays where it is", async () => {
      await put(text);
      expect(await documents.read("favourite", colour)).toBeNull();
      expect(problems).toEqual([`The colour in ${file} cannot be read and is ignored.`]);
      expect(await readFile(file, "utf8")).toBe(text);
    });

    it("is set aside, with a report, by the next write", async () => {
      await put(text);
      await documents.write("favourite", colour, { colour: "red" });
      expect(await documents.read("favourite", colour)).toEqual({ colour: "red" });
      const [name = ""] = await aside();
      expect(await readFile(join(directory, name), "utf8")).toBe(text);
      expect(problems).toEqual([`The colour in ${file} could not be read; the file is now ${join(directory, name)}.`]);
    });

    it("is set aside by a removal", async () => {
      await put(text);
      await documents.remove("favourite", colour);
      expect(await documents.read("favourite", colour)).toBeNull();
      expect(await readFile(join(directory, (await aside())[0] ?? ""), "utf8")).toBe(text);
    });

    it("is an error where its type refuses it", async () => {
      await put(text);
      await expect(documents.read("favourite", strict)).rejects.toMatchObject({
        code: "config_invalid",
        message: `${file} is damaged`,
      });
      expect(await readFile(file, "utf8")).toBe(text);
    });
  },
);

describe("a document of a newer format", () => {
  const newer = '{"schema":3,"hue":120}';

  it.each([
    ["reading", () => documents.read("favourite", colour)],
    ["writing", () => documents.write("favourite", colour, { colour: "red" })],
    ["removing", () => documents.remove("favourite", colour)],
  ])("is refused and stays as it is: %s", async (_how, act) => {
    await put(newer);
    await expect(act()).rejects.toMatchObject({
      code: "data_newer",
      message: `The colour in ${file} has format 3; this version reads formats up to 2.`,
      remedy: expect.stringContaining("Update Assistant"),
    });
    expect(await readFile(file, "utf8")).toBe(newer);
    expect(await readdir(directory)).toEqual(["favourite.json"]);
  });
});

it("errors of the file system are errors, not missing documents", async () => {
  await mkdir(file, { recursive: true });
  await expect(documents.read("favourite", colour)).rejects.toMatchObject({ code: "EISDIR" });
  await expect(documents.write("favourite", colour, { colour: "red" })).rejects.toMatchObject({ code: "EISDIR" });
});

it("existing directories keep the permissions they have", async () => {
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o755);
  await documents.write("favourite", colour, { colour: "red" });
  expect((await stat(directory)).mode & 0o777).toBe(0o755);
});
