/** A line of a file. */
export interface Line {
  /** 1-based. */
  readonly number: number;
  /** Without its end; null: it is too long, or not UTF-8. */
  readonly text: string | null;
}

const NEWLINE = 0x0a;

/** The non-blank lines of a file, one by one: whatever its size, only the current line is in memory. */
export async function* linesOf(content: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let number = 1;
  const add = (part: Uint8Array): void => {
    bytes += part.length;
    if (bytes <= maxBytes) parts.push(part);
    else parts = [];
  };
  const taken = (): Line | null => {
    const text = bytes > maxBytes ? null : textOf(Buffer.concat(parts));
    const line = { number: number++, text };
    [parts, bytes] = [[], 0];
    return text === null || text.trim() !== "" ? line : null;
  };
  for await (const chunk of content) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      add(chunk.subarray(start, end));
      start = end + 1;
      const line = taken();
      if (line !== null) yield line;
    }
    add(chunk.subarray(start));
  }
  const last = taken();
  if (last !== null) yield last;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function textOf(bytes: Buffer): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}
