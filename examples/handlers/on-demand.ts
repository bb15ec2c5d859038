import { setTimeout } from "node:timers/promises";
import { WorkerApp } from "assistant/worker";

/** For `[[worker_pools]]`: started when somebody asks for `pid`, stopped when nobody does. */
export const app = new WorkerApp();

app.capability({ type: "pid" }, async (request) => {
  await setTimeout(Number(request.get("hold_ms")[0]));
  return { pid: [process.pid] };
});
