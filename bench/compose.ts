/**
 * `npm run bench -- compose workers [--rounds N] [--seconds N]`, `compose capabilities`, or `compose pipelines
 * [--rounds N] [--chunks N]`, after `npm run build`
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string" },
    seconds: { type: "string", default: "3" },
    chunks: { type: "string", default: "200000" },
  },
});
const options = { rounds: Number(values.rounds ?? "5"), seconds: Number(values.seconds) };

switch (positionals[0]) {
  case "workers": {
    const { benchWorkers } = await import("./compose/workers.ts");
    await benchWorkers(options);
    break;
  }
  case "capabilities": {
    const { benchCapabilities } = await import("./compose/capabilities.ts");
    await benchCapabilities();
    break;
  }
  case "pipelines": {
    const { benchPipelines } = await import("./compose/pipelines.ts");
    await benchPipelines({ rounds: Number(values.rounds ?? "500"), chunks: Number(values.chunks) });
    break;
  }
  default:
    console.error(
      "usage: npm run bench -- compose workers [--rounds N] [--seconds N] | capabilities | pipelines [--rounds N] [--chunks N]",
    );
    process.exitCode = 2;
}
