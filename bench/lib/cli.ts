/** `npm run bench -- gateway|engine [--rounds N] [--seconds N]` */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    url: { type: "string" },
    model: { type: "string" },
    "llama-server": { type: "string" },
  },
});
const shared = { rounds: Number(values.rounds), seconds: Number(values.seconds) };

switch (positionals[0]) {
  case "gateway": {
    const { benchGateway } = await import("../gateway/main.ts");
    await benchGateway(shared);
    break;
  }
  default:
    console.error("usage: npm run bench -- gateway|engine [--rounds N] [--seconds N]");
    process.exitCode = 2;
}
