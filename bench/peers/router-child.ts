/**
 * What a llama-server in router mode starts in place of an engine: the stub, on the port that the router names, which
 * tells the router in its own words that it is ready, and goes when the router does.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
const directory = mkdtempSync(join(tmpdir(), "bench-router-child-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
process.on("SIGTERM", () => process.exit(0));
// A word from the router means "go"; the end of its pipe, that it has gone itself.
process.stdin.on("data", () => process.exit(0)).on("end", () => process.exit(0));

process.argv[2] = JSON.stringify({ socketPath: join(directory, "stub.sock"), port, chunks: 200, everyMs: 10 });
process.argv.length = 3;
await import("../lib/stub-upstream.ts");

for (;;) {
  const socket = connect({ host: "127.0.0.1", port });
  const open = await once(socket, "connect").then(
    () => true,
    () => false,
  );
  socket.destroy();
  if (open) break;
}
process.stdout.write('\ncmd_child_to_router:state:{"state":"ready"}\n');
