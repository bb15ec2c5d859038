import { Args } from "@oclif/core";
import type { NodeActed } from "../../src/api/nodes.ts";
import { connect } from "../../src/client/daemon-client.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class NodeUncordon extends BaseCommand {
  static override summary = "Use a drained machine of the cluster again";
  static override examples = [
    { description: "This machine", command: "<%= config.bin %> node uncordon" },
    { description: "Another one", command: "<%= config.bin %> node uncordon gpu-2" },
  ];
  static override args = { node: Args.string({ description: "name of a machine of the cluster (default: this one)" }) };

  async run(): Promise<NodeActed> {
    const { args, flags } = await this.parse(NodeUncordon);
    const { client } = await connect(this.context(flags).paths);
    const { node } = args;
    const acted = await client.actOnNode({ action: "uncordon", ...(node === undefined ? {} : { node }) });
    this.log(`${acted.node} is in use.`);
    return acted;
  }
}
