import { createHash } from "node:crypto";
import { type FuzzReport, fuzzApi } from "./api-fuzz.ts";
import { installFakes } from "./fake-installation.ts";

const KEY = "sk-fuzz";

/** Sends random requests to every route of a daemon with fake engines. Rejects unless it runs on afterwards, as the same process. */
export async function fuzzedDaemon(requests: number, seed: number): Promise<FuzzReport> {
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  await using assistant = await installFakes({
    models: { river: { slots: 4 }, vectors: { kind: "embedding", slots: 4 } },
    config: `[[server.api_key_sha256]]\nname = "fuzz"\nsha256 = "${sha256}"\nscopes = ["inference", "metrics", "admin"]\n`,
  });
  const url = await assistant.serve();
  const { pid } = await assistant.state();
  const report = await fuzzApi({ url, key: KEY, models: ["river", "vectors"], requests, seed });
  const after = await assistant.state();
  if (after.pid !== pid) throw new Error(`the daemon died: it was ${pid}, and is ${after.pid}`);
  const log = await assistant.daemonLog();
  const faults = log.split("\n").filter((line) => line.includes("failed inside the daemon"));
  return { ...report, problems: [...report.problems, ...faults.map((line) => line.slice(0, 600))] };
}
