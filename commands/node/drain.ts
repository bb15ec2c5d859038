import { Args, Flags } from "@oclif/core";
import type { NodeActed } from "../../src/api/nodes.ts";
import { connect } from "../../src/client/daemon-client.ts";
import { plural } from "../../src/ui/format.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

const LOOK_EVERY_MS = 500;

export default class NodeDrain extends BaseCommand {
  static override summary = "Take a machine of the cluster out of use, for maintenance";
  static override description =
    "Other machines stop sending it requests, and it starts no more tasks; running requests finish, " +
    "then its engines stop. Requests that still reach it are forwarded to other machines, " +
    "or refused with 503 if none has the model. `GET /v2/health/ready` reports it as not ready to load balancers. " +
    "It stays drained across restarts, until `node uncordon`.";
  static override examples = [
    { description: "This machine, until nothing runs on it", command: "<%= config.bin %> node drain --wait" },
    { description: "Another one", command: "<%= config.bin %> node drain gpu-2" },
  ];
  static override args = { node: Args.string({ description: "name of a machine of the cluster (default: this one)" }) };
  static override flags = {
    wait: Flags.boolean({ description: "wait until no request is left; for this machine only" }),
  };

  async run(): Promise<NodeActed> {
    const { args, flags } = await this.parse(NodeDrain);
    const { client } = await connect(this.context(flags).paths);
    const acted = await client.actOnNode({ action: "drain", ...(args.node === undefined ? {} : { node: args.node }) });
    this.log(`${acted.node} is drained. \`assistant node uncordon ${acted.node}\` uses it again.`);
    const { cluster } = await client.nodes();
    if (acted.node !== cluster?.name) {
      if (flags.wait) this.error(`--wait only works for this machine; run the command on ${acted.node}.`, { exit: 2 });
      return acted;
    }
    let shown = -1;
    for (let left = cluster.inFlight; flags.wait && left > 0; ) {
      if (left !== shown) this.log(`${plural(left, "request")} left`);
      shown = left;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      left = (await client.nodes()).cluster?.inFlight ?? 0;
    }
    if (flags.wait) this.log("Nothing runs.");
    return acted;
  }
}
