import fc from "fast-check";
import { expect, test } from "vitest";
import { ChunkDecoder, endsBody, frameChunk, LAST_CHUNK } from "../../../src/upstreams/answer/chunked.ts";

const pieces = fc.array(
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 12 },
);

test("what was framed comes back, however the bytes are cut", () => {
  fc.assert(
    fc.property(pieces, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (payload, cuts) => {
      const wire = Buffer.concat([...payload.map(frameChunk), LAST_CHUNK]);
      const decoder = new ChunkDecoder();
      const out: Buffer[] = [];
      for (let at = 0, turn = 0; at < wire.length; turn++) {
        expect(decoder.done).toBe(false);
        const end = at + (cuts[turn % cuts.length] as number);
        out.push(...decoder.push(wire.subarray(at, end)));
        at = end;
      }
      expect(decoder.done).toBe(true);
      expect(Buffer.concat(out)).toEqual(Buffer.concat(payload));
    }),
  );
});

test("extensions and trailers are passed over", () => {
  const decoder = new ChunkDecoder();
  const out = decoder.push(Buffer.from('3;name="x"\r\nabc\r\n0\r\nx-trailer: 1\r\n\r\nHTTP/1.1'));
  expect(Buffer.concat(out).toString()).toBe("abc");
  expect(decoder.done).toBe(true);
});

test.each(["xyz\r\n", "3\r\nabcd\r\n", "-1\r\n", "fffffffff\r\n", `${"1".repeat(5000)}`])("%j is no chunk", (wire) => {
  expect(() => new ChunkDecoder().push(Buffer.from(wire))).toThrow(expect.objectContaining({ code: "engine_error" }));
});

test.each([
  ["data: x\n\n\r\n0\r\n\r\n", true],
  ["0\r\n\r\n", true],
  ["data: 10\r\n\r\n", false],
  ["data: x\n\n\r\n0\r\n", false],
  ["", false],
])("%j ends a body: %s", (wire, ends) => {
  expect(endsBody(Buffer.from(wire))).toBe(ends);
});
