/**
 * `npm run bench -- gateway [--rounds N] [--seconds N]`
 * `npm run bench -- peers [--rounds N] [--seconds N] [--arms nginx,olla] [--llama-server PROGRAM]`, after `npm run
 * build`;
 *   with `--install` it only installs the peers that can be had
 * `npm run bench -- dialects [NAME=CHECKOUT…] [--rounds N]`
 * `npm run bench -- engine --model FILE.gguf --llama-server PROGRAM [--rounds N] [--departures N]`
 * `npm run bench -- embedded --model FILE.gguf --llama-server PROGRAM [--rounds N]`
 * `npm run bench -- engine-build [--jobs N] [--rounds N]`
 * `npm run bench -- processes --model FILE.gguf --llama-server PROGRAM [--counts 2,3,4] [--rounds N] [--seconds N]`
 * `npm run bench -- calibrate --model FILE.gguf --llama-server PROGRAM [--rounds N] [--threads N]`
 * `npm run bench -- workloads [--only W3,W4,…] [--trace FILE.jsonl] [--rounds N]`
 * `npm run bench -- soak [--requests N]`
 * `npm run bench -- compatibility [--dry-run]`, after `npm run build`, with the environment of the tests
 * (`ASSISTANT_TEST_LLAMA_SERVER`)
 * `npm run bench -- compose workers [--rounds N] [--seconds N]`, after `npm run build`
 * `npm run bench -- conversations --llama-server PROGRAM --chat FILE.gguf [--shapes N] [--seed S] [--arms LIST]
 * [--named] [--rounds N]`
 * `npm run bench -- forward [--rounds N] [--seconds N]`, after `npm run build`
 * `npm run bench -- swap --llama-server PROGRAM --chat FILE.gguf [--rounds N]`
 * `npm run bench -- fuzz [--requests N] [--seed N]`, after `npm run build`
 * `npm run bench -- memory --llama-server PROGRAM --chat FILE.gguf --embedding FILE.gguf`
 * `npm run bench -- many-models [--configured N] [--loaded N] [--weights FILE.gguf]`, after `npm run build`
 * `npm run bench -- pull [--mb N] [--mb-per-second N]`
 * `npm run bench -- scheduler [INSTANCES] [QUEUED] [ROUNDS]`
 * `npm run bench -- variants NAME=CHECKOUT NAME=CHECKOUT… [--rounds N] [--seconds N]`
 * `npm run bench -- attack [--times N]`, after `npm run build`
 * `npm run bench -- compose pipelines [--rounds N] [--chunks N]`, after `npm run build`
 * `npm run bench -- cancel-storm [--requests N] [--clients N] [--seed N]`
 * `npm run bench -- tasks [--tasks N] [--batch N] [--connections 1,16]`, after `npm run build`
 * `npm run bench -- tasks-beside-chats [--rounds N] [--chats N] [--sync-ms N]`, after `npm run build`
 * `npm run bench -- tasks-history [--finished 1000,100000,1000000] [--rounds N] [--requests N] [--sync everysec]`,
 * after `npm run build`
 * `npm run bench -- sim [--trace FILE.jsonl] [--instances 4,64] [--load 0.8,1] [--most REQUESTS] [--shapes N] [--seed
 * S] [--only shapes]`
 */
import { parseArgs } from "node:util";

/** Programs that read their own options. */
const PROGRAMS = new Map([
  ["attack", "attack.ts"],
  ["cancel-storm", "cancel-storm.ts"],
  ["compatibility", "compatibility/main.ts"],
  ["compose", "compose.ts"],
  ["conversations", "conversations/main.ts"],
  ["dialects", "gateway/dialects.ts"],
  ["embedded", "engine/embedded.ts"],
  ["engine-build", "engine/build.ts"],
  ["forward", "forward/main.ts"],
  ["fuzz", "fuzz.ts"],
  ["many-models", "many-models.ts"],
  ["memory", "memory.ts"],
  ["pull", "pull.ts"],
  ["scheduler", "scheduler.ts"],
  ["swap", "swap.ts"],
  ["tasks", "tasks.ts"],
  ["tasks-beside-chats", "tasks-beside-chats.ts"],
  ["tasks-history", "tasks-history.ts"],
  ["variants", "variants.ts"],
]);

const name = process.argv[2] ?? "";
const program = PROGRAMS.get(name);
if (program !== undefined) {
  process.argv.splice(1, 2, `bench ${name}`);
  await import(`../${program}`);
} else {
  await runNamed();
}

async function runNamed(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: "string" },
      only: { type: "string" },
      seconds: { type: "string" },
      model: { type: "string" },
      "llama-server": { type: "string" },
      trace: { type: "string" },
      instances: { type: "string", default: "4" },
      load: { type: "string", default: "0.8,0.95,1" },
      most: { type: "string", default: "12031" },
      shapes: { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      requests: { type: "string", default: "1000000" },
      arms: { type: "string" },
      install: { type: "boolean", default: false },
      departures: { type: "string", default: "10" },
      threads: { type: "string", default: "2" },
      counts: { type: "string", default: "2,3,4" },
    },
  });

  const rounds = (otherwise: number): number => Number(values.rounds ?? otherwise);
  const seconds = (otherwise: number): number => Number(values.seconds ?? otherwise);

  switch (positionals[0]) {
    case "gateway": {
      const { benchGateway } = await import("../gateway/main.ts");
      await benchGateway({ rounds: rounds(5), seconds: seconds(2) });
      break;
    }
    case "peers": {
      const path = process.env["PATH"] ?? "";
      if (values.install) {
        const { installPeers } = await import("../peers/find.ts");
        installPeers(path);
        break;
      }
      const { benchPeers } = await import("../peers/main.ts");
      const [llamaServer, arms] = [values["llama-server"] ?? null, values.arms?.split(",") ?? null];
      await benchPeers({ rounds: rounds(5), seconds: seconds(2), arms, llamaServer, path });
      break;
    }
    case "engine": {
      if (values.model === undefined || values["llama-server"] === undefined)
        throw new Error("bench engine needs --model FILE.gguf and --llama-server PROGRAM");
      const { benchEngine } = await import("../engine/main.ts");
      await benchEngine({
        rounds: rounds(5),
        departures: Number(values.departures),
        model: values.model,
        llamaServer: values["llama-server"],
      });
      break;
    }
    case "processes": {
      if (values.model === undefined || values["llama-server"] === undefined)
        throw new Error("bench processes needs --model FILE.gguf and --llama-server PROGRAM");
      const { benchProcesses } = await import("../processes/main.ts");
      const counts = values.counts.split(",").map(Number);
      await benchProcesses({
        rounds: rounds(5),
        seconds: seconds(4),
        counts,
        model: values.model,
        llamaServer: values["llama-server"],
      });
      break;
    }
    case "calibrate": {
      if (values.model === undefined || values["llama-server"] === undefined)
        throw new Error("bench calibrate needs --model FILE.gguf and --llama-server PROGRAM");
      const { calibrate } = await import("../stub/calibrate.ts");
      await calibrate({
        model: values.model,
        llamaServer: values["llama-server"],
        rounds: rounds(3),
        threads: Number(values.threads),
      });
      break;
    }
    case "workloads": {
      const { benchWorkloads } = await import("../workloads/main.ts");
      await benchWorkloads({ only: values.only?.split(",") ?? null, trace: values.trace ?? null, rounds: rounds(1) });
      break;
    }
    case "soak": {
      const { benchSoak } = await import("../soak.ts");
      await benchSoak({ requests: Number(values.requests) });
      break;
    }
    case "sim": {
      const { benchSim } = await import("../sim/main.ts");
      const numbers = (list: string): number[] => list.split(",").map(Number);
      const shapes = {
        shapes: Number(values.shapes),
        seed: Number(values.seed),
        shapesAlone: values.only === "shapes",
      };
      const fleets = { instances: numbers(values.instances), loads: numbers(values.load), most: Number(values.most) };
      benchSim({ trace: values.trace ?? null, ...fleets, ...shapes, save: true });
      break;
    }
    case "page": {
      const { writePage } = await import("./page.ts");
      console.log(`written: ${writePage()}`);
      break;
    }
    default:
      console.error(
        "usage: npm run bench -- gateway|peers|engine|embedded|engine-build|processes|calibrate|workloads|compatibility|compose|conversations|forward|fuzz|swap|many-models|memory|scheduler|cancel-storm|variants|soak|sim|page [--rounds N]",
      );
      process.exitCode = 2;
  }
}
