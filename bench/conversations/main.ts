/**
 * More conversations than slots on a real model. With `--shapes N` or `--named`: random shapes, and one fixed one, each
 * on a bare llama-server and on the daemon's replicas (shapes.ts). Else one fixed shape by routing policy and over
 * swaps (fixed.ts).
 */
const ofShapes = process.argv.some((argument) => /^--(shapes|named)(=|$)/.test(argument));
await (ofShapes ? import("./shapes.ts") : import("./fixed.ts"));

export {};
