import { createHash } from "node:crypto";
import { type FuzzReport, fuzzApi } from "./api-fuzz.ts";
import { installFakes } from "./fake-installation.ts";
import { fuzzGrpc, type GrpcFuzzReport } from "./grpc-fuzz.ts";

const KEY = "sk-fuzz";

/**
 * Sends random requests to every route and every gRPC method of a daemon with fake engines. Rejects unless it runs on
 * afterwards, as the same process.
 */
export async function fuzzedDaemon(
  requests: number,
  seed: number,
): Promise<FuzzReport & { readonly grpc: GrpcFuzzReport }> {
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  await using assistant = await installFakes({
    models: { river: { slots: 4 }, vectors: { kind: "embedding", slots: 4 } },
    env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:0" },
    config: `[[server.api_key_sha256]]\nname = "fuzz"\nsha256 = "${sha256}"\nscopes = ["inference", "metrics", "admin"]\n`,
  });
  const url = await assistant.serve();
  const { pid } = await assistant.state();
  const models = ["river", "vectors"];
  const report = await fuzzApi({ url, key: KEY, models, requests, seed });
  const { grpc: address } = await assistant.state();
  if (!address) throw new Error("the daemon serves no gRPC");
  const grpc = await fuzzGrpc({ address, key: KEY, models, requests: Math.ceil(requests / 4), seed });
  const after = await assistant.state();
  if (after.pid !== pid) throw new Error(`the daemon died: it was ${pid}, and is ${after.pid}`);
  const log = await assistant.daemonLog();
  const faults = log.split("\n").filter((line) => line.includes("failed inside the daemon"));
  return {
    ...report,
    grpc,
    problems: [...report.problems, ...grpc.problems, ...faults.map((line) => line.slice(0, 600))],
  };
}
