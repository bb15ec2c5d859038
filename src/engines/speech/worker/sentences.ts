/** Longest piece that is spoken at once: the maximum delay of a cancellation, and of the first audio. */
const MAX_CHARACTERS = 300;

/**
 * A text in pieces that are spoken one after the other: sentences, and of long ones parts that end at a mark or between
 * words.
 */
export function sentencesOf(text: string): string[] {
  const segmenter = new Intl.Segmenter(undefined, { granularity: "sentence" });
  // A line break within a paragraph ends no sentence.
  const paragraphs = text.split(/\n\s*\n/u).map((paragraph) => paragraph.replace(/\s+/gu, " "));
  const segments = paragraphs.flatMap((paragraph) => [...segmenter.segment(paragraph)]);
  return segments.flatMap(({ segment }) => parts(segment.trim())).filter((part) => /[\p{L}\p{N}]/u.test(part));
}

const MARKS = [", ", "; ", ": ", " – ", " — ", "、", "，", "；"];

function parts(sentence: string): string[] {
  const found: string[] = [];
  let rest = sentence;
  while (rest.length > MAX_CHARACTERS) {
    const within = rest.slice(0, MAX_CHARACTERS);
    const mark = Math.max(...MARKS.map((each) => within.lastIndexOf(each)));
    const space = within.lastIndexOf(" ");
    // If there is no boundary, not within a surrogate pair.
    const end = mark > 0 ? mark + 1 : space > 0 ? space : within.replace(/[\uD800-\uDBFF]$/, "").length;
    found.push(rest.slice(0, end));
    rest = rest.slice(end).trim();
  }
  return [...found, rest];
}
