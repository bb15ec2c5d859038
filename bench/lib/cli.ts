/**
 * `npm run bench -- gateway [--rounds N] [--seconds N]`
 * `npm run bench -- engine --model FILE.gguf --llama-server PROGRAM [--rounds N] [--departures N]`
 * `npm run bench -- sim [--trace FILE.jsonl] [--instances 4,64] [--load 0.8,1] [--most REQUESTS]`
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    model: { type: "string" },
    "llama-server": { type: "string" },
    trace: { type: "string" },
    instances: { type: "string", default: "4" },
    load: { type: "string", default: "0.8,0.95,1" },
    most: { type: "string", default: "12031" },
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
  case "sim": {
    const { benchSim } = await import("../sim/main.ts");
    const numbers = (list: string): number[] => list.split(",").map(Number);
    benchSim({ trace: values.trace ?? null, instances: numbers(values.instances), loads: numbers(values.load), most: Number(values.most), save: true });
    break;
  }
  case "page": {
    const { writePage } = await import("./page.ts");
    console.log(`written: ${writePage()}`);
    break;
  }
  default:
    console.error("usage: npm run bench -- gateway|engine|sim|page [--rounds N]");
    process.exitCode = 2;
}
