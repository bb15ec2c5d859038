/** A pattern that enforces a format of JSON Schema. */
export interface FormatPattern {
  readonly pattern: string;
  /** The lengths of the strings that match. */
  readonly shortest: number;
  readonly longest: number;
}

const WORD = "[A-Za-z0-9_+-]{1,20}";
const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,28}[A-Za-z0-9])?";
const HOST = `${LABEL}(\\.${LABEL}){0,5}`;
const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const PATH = "(/[A-Za-z0-9._~@!$&'()*+,;=:-]{0,80}){0,6}";
const QUERY = "(\\?[A-Za-z0-9._~@!$&'()*+,;=:/-]{1,120})?";
const DATE = "([0-9]{1,4}Y([0-9]{1,3}M)?([0-9]{1,3}D)?|[0-9]{1,3}M([0-9]{1,3}D)?|[0-9]{1,3}D)";
const TIME = "T([0-9]{1,3}H([0-9]{1,3}M)?([0-9]{1,3}S)?|[0-9]{1,3}M([0-9]{1,3}S)?|[0-9]{1,3}S)";

/** Formats that llama.cpp's grammars do not know. All strings that match have the format, but not the other way round. */
export const FORMAT_PATTERNS: Readonly<Record<string, FormatPattern>> = {
  duration: { pattern: `^P([0-9]{1,3}W|${DATE}(${TIME})?|${TIME})$`, shortest: 3, longest: 27 },
  email: {
    pattern: `^${WORD}(\\.${WORD}){0,2}@${LABEL}(\\.${LABEL}){0,3}\\.[A-Za-z]{2,20}$`,
    shortest: 6,
    longest: 62 + 1 + 123 + 21,
  },
  hostname: { pattern: `^${HOST}$`, shortest: 1, longest: 185 },
  ipv4: { pattern: `^${BYTE}(\\.${BYTE}){3}$`, shortest: 7, longest: 15 },
  ipv6: { pattern: "^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$", shortest: 15, longest: 39 },
  uri: {
    pattern: `^[a-z][a-z0-9+-]{0,9}://${HOST}(:[1-9][0-9]{1,3})?${PATH}${QUERY}$`,
    shortest: 5,
    longest: 13 + 185 + 5 + 486 + 121,
  },
};
