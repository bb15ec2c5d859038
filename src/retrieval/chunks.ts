/** A part of a text that is not divided further, with what is before it. */
export interface Unit {
  readonly text: string;
  /** What ends where it begins. */
  readonly after: Boundary;
}

/** From the weakest to the strongest. */
const boundaries = ["word", "sentence", "line", "paragraph"] as const;
type Boundary = (typeof boundaries)[number];

/** Longer ones are divided: texts without blanks, and what is no text at all. */
const MAX_UNIT_CHARACTERS = 32;
const SENTENCE_END = /[.!?…。！？]["'”’)\]]*$/u;

/**
 * The words of a text, each with the preceding blanks, like tokenizers split them. Joined they are the text, except for
 * trailing blanks.
 */
export function unitsOf(text: string): Unit[] {
  const units: Unit[] = [];
  let before = "";
  for (const [whole, blanks = "", word = ""] of text.trimEnd().matchAll(/(\s*)(\S+)/gu)) {
    const lines = blanks.split("\n").length - 1;
    const after = lines > 1 ? "paragraph" : lines === 1 ? "line" : SENTENCE_END.test(before) ? "sentence" : "word";
    if (whole.length <= MAX_UNIT_CHARACTERS) units.push({ text: whole, after });
    else
      for (const [index, part] of partsOf(word).entries())
        units.push(index === 0 ? { text: blanks + part, after } : { text: part, after: endOf(units) });
    before = word;
  }
  return units;
}

const endOf = (units: readonly Unit[]): Boundary => (SENTENCE_END.test(units.at(-1)?.text ?? "") ? "sentence" : "word");

/** Behind punctuation, or after so many characters: a segmenter of words would take seconds for a book. */
const PART = /[^\p{P}]{1,16}\p{P}{0,16}|\p{P}{1,16}/gu;
const partsOf = (word: string): readonly string[] => word.match(PART) ?? [];

/**
 * Splits a text into chunks of at most `capacity` tokens. A chunk ends at the strongest boundary available, paragraphs
 * before lines before sentences before words, and neighbours are joined as long as they fit. `tokens`: of each unit. A
 * single unit with more tokens than the capacity is a separate chunk. Leading and trailing blanks are removed.
 */
export function chunksOf(units: readonly Unit[], tokens: readonly number[], capacity: number): string[] {
  const sums = [0];
  for (const count of tokens) sums.push((sums.at(-1) ?? 0) + count);
  const tokensIn = (from: number, to: number): number => (sums[to] ?? 0) - (sums[from] ?? 0);
  const chunks: string[] = [];
  const write = (from: number, to: number): void => {
    const text = units
      .slice(from, to)
      .map((unit) => unit.text)
      .join("")
      .trim();
    if (text !== "") chunks.push(text);
  };

  /** The parts between boundaries of this strength or more, one after the other. */
  const divide = (from: number, to: number, strength: number): void => {
    let start = from;
    let end = from;
    for (let next = from + 1; next <= to; next++) {
      const unit = units[next];
      if (next < to && unit !== undefined && boundaries.indexOf(unit.after) < strength) continue;
      if (end > start && tokensIn(start, next) > capacity) {
        write(start, end);
        start = end;
      }
      if (tokensIn(start, next) > capacity && strength > 0) {
        divide(start, next, strength - 1);
        start = next;
      }
      end = next;
    }
    if (end > start) write(start, end);
  };
  divide(0, units.length, boundaries.length - 1);
  return chunks;
}
