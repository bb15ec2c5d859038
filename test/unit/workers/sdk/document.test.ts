import { expect, test } from "vitest";
import { fetchDocument, readablePage } from "../../../../src/workers/sdk/document.ts";
import { passagesOf } from "../../../../src/workers/sdk/document-qa.ts";

const options = { signal: new AbortController().signal, allowPrivate: false };

test("the text of a page is its main part, without scripts and menus", () => {
  const html = `<html><head><title>A &amp; B</title><style>p{}</style></head><body><nav>menu</nav>
    <main><h1>Rivers</h1><p>One&nbsp;&#39;two&#x27;</p><script>x<1</script><ul><li>three</ul></main><footer>end</footer></body>`;
  expect(readablePage(html)).toEqual({ title: "A & B", text: "Rivers\nOne 'two'\nthree" });
});

test.each(["http://127.0.0.1:1/", "http://localhost/", "http://169.254.169.254/", "http://[::1]/", "http://10.0.0.1/"])(
  "%s is not read",
  async (url) => {
    await expect(fetchDocument(url, options)).rejects.toThrow("address of a private network");
  },
);

test.each(["file:///etc/passwd", "ftp://example.com/", "http://user:pw@example.com/", "nonsense"])(
  "%s is no address",
  async (url) => {
    await expect(fetchDocument(url, options)).rejects.toThrow("is no http or https URL");
  },
);

test("passages are whole lines up to a length", () => {
  const text = ["a".repeat(500), "b".repeat(500), "c".repeat(2000), "d"].join("\n");
  const passages = passagesOf(text);
  expect(passages.every((passage) => passage.length <= 800)).toBe(true);
  expect(passages.join("").replaceAll("\n", "")).toBe(text.replaceAll("\n", ""));
});
