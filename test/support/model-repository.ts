import type { Hub, HubPath } from "../fakes/hub.ts";
import { type GgufValue, ggufPieces } from "./gguf-writer.ts";
import { sha256 } from "./store.ts";

/** One part of a small model in several, or with `count` 1 a whole one. */
export function modelPart(number: number, count: number): Buffer {
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", { text: "llama" }],
    ["llama.block_count", { u32: 1 }],
    ["llama.context_length", { u32: 512 }],
    ["llama.embedding_length", { u32: 8 }],
    ["llama.attention.head_count", { u32: 1 }],
    ["tokenizer.chat_template", { text: "{% if tools %}{{ tools }}{% endif %}{{ messages }}" }],
    ...(count > 1
      ? ([
          ["split.no", { u16: number - 1 }],
          ["split.count", { u16: count }],
        ] as const)
      : []),
  ]);
  const data = new Uint8Array(4 * 8 * 1000).fill(number);
  return Buffer.concat(ggufPieces(metadata, [{ name: `blk.${number}.weight`, shape: [1000, 8], data }]));
}

/** A multimodal projector for images. */
export const projectorFile: Buffer = Buffer.concat(
  ggufPieces(
    new Map<string, GgufValue>([
      ["general.architecture", { text: "clip" }],
      ["clip.has_vision_encoder", { bool: true }],
    ]),
    [],
  ),
);

/** Serves a repository of Hugging Face with these files; `faults` of some of them. */
export function serveRepository(
  hub: Hub,
  repo: string,
  files: Readonly<Record<string, Buffer>>,
  { gated = false, faults = {} }: { gated?: unknown; faults?: Readonly<Record<string, HubPath>> } = {},
): void {
  const siblings = Object.entries(files).map(([rfilename, body]) => ({
    rfilename,
    lfs: { sha256: sha256(body), size: body.length },
  }));
  hub.set(`/api/models/${repo}/revision/main`, {
    body: Buffer.from(JSON.stringify({ siblings, gated, cardData: { license: "mit" } })),
  });
  for (const [path, body] of Object.entries(files)) hub.set(`/${repo}/resolve/main/${path}`, { body, ...faults[path] });
}
