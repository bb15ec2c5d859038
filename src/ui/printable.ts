/**
 * Text of others (requests, files, other machines) for a terminal: control characters, with which it could move the
 * cursor or rename the window, appear as JSON writes them. Ends of lines and tabs stay.
 */
export const printable = (text: string): string => text.replace(/(?!\r?\n|\t)\p{Cc}/gu, escaped);

/** The same for text that must stay on its line. */
export const printableLine = (text: string): string => text.replace(/\p{Cc}/gu, escaped);

/** JSON as text, whose writer leaves the control characters of eight bits as they are. */
export const printableJson = (json: string): string => json.replace(/[\u007f-\u009f]/gu, escaped);

/** A value with all of its texts made printable. */
export function printableTexts<T>(value: T): T {
  if (typeof value === "string") return printable(value) as T;
  if (Array.isArray(value)) return value.map(printableTexts) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [printable(key), printableTexts(part)])) as T;
}

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

const escaped = (character: string): string =>
  SHORT[character] ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
