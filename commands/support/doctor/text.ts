import { styleText } from "node:util";
import { printableTexts } from "../../../src/ui/printable.ts";
import type { Finding, Level } from "./finding.ts";

const MARKS: Readonly<Record<Level, { readonly mark: string; readonly style: "green" | "cyan" | "yellow" | "red" }>> = {
  ok: { mark: "✓", style: "green" },
  info: { mark: "·", style: "cyan" },
  warning: { mark: "!", style: "yellow" },
  broken: { mark: "✗", style: "red" },
};

/** The findings by area, each with what to do, and a last line with the verdict. Pure. */
export function doctorText(given: readonly Finding[], colour: boolean): string[] {
  const findings = printableTexts(given);
  const lines: string[] = [];
  const width = Math.max(0, ...findings.map((finding) => finding.subject.length));
  let area: Finding["area"] | null = null;
  for (const finding of findings) {
    if (finding.area !== area) {
      if (area !== null) lines.push("");
      area = finding.area;
      lines.push(`${area.charAt(0).toUpperCase()}${area.slice(1)}`);
    }
    const { mark, style } = MARKS[finding.level];
    const [first = "", ...more] = finding.found.split("\n");
    lines.push(
      `  ${colour ? styleText(style, mark, { validateStream: false }) : mark} ${finding.subject.padEnd(width)}  ${first}`,
    );
    const indent = " ".repeat(width + 6);
    for (const line of more) lines.push(`${indent}${line}`);
    if (finding.remedy !== null) lines.push(`${indent}→ ${finding.remedy}`);
  }
  return [...lines, "", verdict(findings)];
}

function verdict(findings: readonly Finding[]): string {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  const broken = count("broken");
  const warnings = count("warning");
  const rest = warnings === 0 ? "" : ` ${warnings} ${warnings === 1 ? "thing" : "things"} could be better.`;
  if (broken === 0) return `Nothing is broken.${rest}`;
  return `${broken} ${broken === 1 ? "thing is" : "things are"} broken.${rest}`;
}
