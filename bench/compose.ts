/** `npm run bench -- compose workers [--rounds N] [--seconds N]`, after `npm run build` */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "3" } },
});
const options = { rounds: Number(values.rounds), seconds: Number(values.seconds) };

switch (positionals[0]) {
  case "workers": {
    const { benchWorkers } = await import("./compose/workers.ts");
    await benchWorkers(options);
    break;
  }
  default:
    console.error("usage: npm run bench -- compose workers [--rounds N] [--seconds N]");
    process.exitCode = 2;
}
