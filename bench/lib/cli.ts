/**
 * `npm run bench -- gateway [--rounds N] [--seconds N]`
 * `npm run bench -- engine --model FILE.gguf --llama-server PROGRAM [--rounds N] [--departures N]`
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    model: { type: "string" },
    "llama-server": { type: "string" },
    departures: { type: "string", default: "10" },
  },
});

switch (positionals[0]) {
  case "gateway": {
    const { benchGateway } = await import("../gateway/main.ts");
    await benchGateway({ rounds: Number(values.rounds), seconds: Number(values.seconds) });
    break;
  }
  case "engine": {
    if (values.model === undefined || values["llama-server"] === undefined) throw new Error("bench engine needs --model FILE.gguf and --llama-server PROGRAM");
    const { benchEngine } = await import("../engine/main.ts");
    await benchEngine({ rounds: Number(values.rounds), departures: Number(values.departures), model: values.model, llamaServer: values["llama-server"] });
    break;
  }
  default:
    console.error("usage: npm run bench -- gateway|engine [--rounds N]");
    process.exitCode = 2;
}
