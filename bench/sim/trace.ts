import { readFileSync } from "node:fs";
import { MODEL, type SimRequest } from "./requests.ts";

const BLOCK_TOKENS = 512;

export interface TraceLine {
  readonly timestamp: number;
  readonly input_length: number;
  readonly output_length: number;
  readonly hash_ids: readonly number[];
}

/**
 * Reads a trace: a JSON object a line, with `timestamp` (ms), `input_length`, `output_length` and `hash_ids` of blocks
 * of 512 tokens.
 */
export function readTrace(file: string): TraceLine[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as TraceLine);
}

/**
 * The trace at another rate. `promptTokensPerSecond` is what all prompts together shall bring. Many instances get
 * several copies of the trace side by side, as of so many services that share nothing, instead of one that is too fast
 * for its conversations to go on; `most` requests at most, from the beginning.
 */
export function replay(
  trace: readonly TraceLine[],
  promptTokensPerSecond: number,
  copies: number,
  most: number,
): SimRequest[] {
  const lines = trace.slice(0, Math.max(1, Math.floor(most / copies)));
  const spanMs = (lines.at(-1)?.timestamp ?? 0) - (lines[0]?.timestamp ?? 0);
  const tokens = lines.reduce((sum, line) => sum + line.input_length, 0) * copies;
  const speed = (promptTokensPerSecond * spanMs) / 1000 / tokens;
  const requests: SimRequest[] = [];
  for (let copy = 0; copy < copies; copy++) {
    for (const [index, line] of lines.entries()) {
      const blocks = line.hash_ids.map((id, block) => ({
        hash: `${copy}:${id}`,
        tokens: Math.min(line.input_length, (block + 1) * BLOCK_TOKENS),
      }));
      // Copies that beat in time would be bursts that no service has.
      const at = line.timestamp / speed + ((copy * 977) % 3000);
      const { input_length: promptTokens, output_length: outputTokens } = line;
      requests.push({
        id: `${copy}.${index}`,
        model: MODEL,
        tenant: "t",
        priority: 50,
        at,
        promptTokens,
        outputTokens,
        blocks,
      });
    }
  }
  return requests.sort((a, b) => a.at - b.at);
}
