/**
 * What several connections buy a pull: `npm run bench -- pull [--mb N] [--mb-per-second N]`. A local server limits the
 * rate of each connection; the same file is pulled over one and over four. Writes bench/results/pull.json.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { defaultPieces } from "../src/models/pull/types.ts";
import { pull } from "../src/models/pull.ts";
import { JsonDocuments } from "../src/store/json-documents.ts";
import { startHub } from "../test/fakes/hub.ts";
import { emptyGguf } from "../test/support/gguf-writer.ts";
import { Report } from "./lib/report.ts";

const { values } = parseArgs({
  options: { mb: { type: "string", default: "80" }, "mb-per-second": { type: "string", default: "2" } },
});
/** The server sends pieces of 16 KiB. */
const PIECE_MB = 0.016384;
const body = Buffer.concat([emptyGguf, randomBytes(Number(values.mb) * 1e6)]);
await using hub = await startHub();
hub.set("/m.gguf", { body, acceptRanges: true, pieceMs: (PIECE_MB / Number(values["mb-per-second"])) * 1000 });

const report = new Report("pull");
for (const connections of [1, 2, 4, 8]) {
  const weightsDir = await mkdtemp(join(tmpdir(), "assistant-bench-pull-"));
  const manifests = new JsonDocuments({ directory: weightsDir, fileMode: null, directoryMode: null, report: () => {} });
  const pieces = {
    ...defaultPieces,
    connections,
    ...(connections === 1 ? { minBytes: Number.POSITIVE_INFINITY } : {}),
  };
  const startedAt = performance.now();
  await pull(`${hub.url}/m.gguf`, { store: { weightsDir, manifests }, env: {}, allowPrivate: true, pieces });
  const seconds = (performance.now() - startedAt) / 1000;
  report.add({ bench: "pull", measure: "download", connections, seconds: Number(seconds.toFixed(2)) });
  await rm(weightsDir, { recursive: true });
}
report.save({ megabytes: Number(values.mb), megabytesPerSecondAndConnection: Number(values["mb-per-second"]) });
