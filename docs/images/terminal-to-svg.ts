/**
 * Draws a captured terminal screen as SVG: `tmux capture-pane -e -p | node docs/images/terminal-to-svg.ts TITLE > ps.svg`.
 * Understands the colours and styles that ink writes: SGR 0–9, 22–29, 30–37, 39, 40–47, 49, 90–97, 38/48;5 and 38/48;2.
 */
import { text } from "node:stream/consumers";
import { stripVTControlCharacters } from "node:util";

const CELL_WIDTH = 8.4;
const LINE_HEIGHT = 19;
const PADDING = 14;
const FOREGROUND = "#d4d7dd";
const BACKGROUND = "#16181d";
const palette = [
  "#3b4048",
  "#e06c75",
  "#98c379",
  "#e5c07b",
  "#61afef",
  "#c678dd",
  "#56b6c2",
  "#d4d7dd",
  "#7f848e",
  "#ef8b93",
  "#b5dba0",
  "#f2d5a0",
  "#8cc8ff",
  "#d8a0ea",
  "#86d0da",
  "#ffffff",
];

interface Style {
  color: string;
  background: string | null;
  bold: boolean;
  dim: boolean;
  inverse: boolean;
}
const plain = (): Style => ({ color: FOREGROUND, background: null, bold: false, dim: false, inverse: false });

function extended(codes: number[]): string {
  if (codes.shift() === 2) return `rgb(${codes.splice(0, 3).join(",")})`;
  const index = codes.shift() ?? 7;
  if (index < 16) return palette[index] ?? FOREGROUND;
  if (index >= 232)
    return `rgb(${Array(3)
      .fill(8 + (index - 232) * 10)
      .join(",")})`;
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40);
  return `rgb(${level(Math.floor((index - 16) / 36))},${level(Math.floor((index - 16) / 6) % 6)},${level((index - 16) % 6)})`;
}

function apply(style: Style, parameters: string): Style {
  const codes = parameters.split(";").map(Number);
  let next = { ...style };
  while (codes.length > 0) {
    const code = codes.shift() ?? 0;
    if (code === 0) next = plain();
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 7) next.inverse = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 27) next.inverse = false;
    else if (code === 38) next.color = extended(codes);
    else if (code === 39) next.color = FOREGROUND;
    else if (code === 48) next.background = extended(codes);
    else if (code === 49) next.background = null;
    else if (code >= 30 && code <= 37) next.color = palette[code - 30] ?? FOREGROUND;
    else if (code >= 40 && code <= 47) next.background = palette[code - 40] ?? null;
    else if (code >= 90 && code <= 97) next.color = palette[code - 82] ?? FOREGROUND;
  }
  return next;
}

const escapeXml = (value: string): string =>
  value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function drawRun(run: string, column: number, row: number, style: Style): string {
  const x = PADDING + column * CELL_WIDTH;
  const y = PADDING + row * LINE_HEIGHT;
  const color = style.inverse ? (style.background ?? BACKGROUND) : style.color;
  const background = style.inverse ? style.color : style.background;
  const width = (run.length * CELL_WIDTH).toFixed(1);
  const box = background
    ? `<rect x="${x.toFixed(1)}" y="${y}" width="${width}" height="${LINE_HEIGHT}" fill="${background}"/>`
    : "";
  if (run.trim() === "") return box;
  const weight = style.bold ? ' font-weight="bold"' : "";
  const opacity = style.dim ? ' opacity="0.6"' : "";
  return `${box}<text x="${x.toFixed(1)}" y="${y + 14}" textLength="${width}" fill="${color}"${weight}${opacity} xml:space="preserve">${escapeXml(run)}</text>`;
}

const lines = (await text(process.stdin)).replace(/\s+$/, "").split("\n");
const columns = Math.max(...lines.map((line) => stripVTControlCharacters(line).length));
const drawn: string[] = [];
let style = plain();
for (const [row, line] of lines.entries()) {
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with a control character
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
    const sequence = /^\u001b\[([0-9;]*)m$/.exec(part);
    if (sequence) style = apply(style, sequence[1] ?? "");
    else if (part !== "") {
      drawn.push(drawRun(part, column, row, style));
      column += part.length;
    }
  }
}
const width = Math.ceil(columns * CELL_WIDTH + 2 * PADDING);
const height = lines.length * LINE_HEIGHT + 2 * PADDING;
console.log(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">`,
);
console.log(`<title>${escapeXml(process.argv[2] ?? "A terminal")}</title>`);
console.log(`<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`);
console.log(drawn.filter(Boolean).join("\n"));
console.log("</svg>");
