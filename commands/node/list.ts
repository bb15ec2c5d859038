import type { NodesReport } from "../../src/api/nodes.ts";
import { connect } from "../../src/client/daemon-client.ts";
import { nodesText } from "../../src/ui/nodes-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class NodeList extends BaseCommand {
  static override summary = "List remote servers and their state";
  static override description =
    "Remote servers are the [[remote_servers]] of the configuration: machines that take requests when this one is busy, or that have models this one does not have.";
  static override examples = [
    { description: "List them", command: "<%= config.bin %> node list" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> node list --json" },
  ];

  async run(): Promise<NodesReport> {
    const { flags } = await this.parse(NodeList);
    const { client } = await connect(this.context(flags).paths);
    const report = await client.nodes();
    if (report.nodes.length === 0) {
      this.log("No remote servers are configured.");
      this.log(`Add one to config.toml:\n  [[remote_servers]]\n  name = "other"\n  grpc_addr = "192.168.1.20:50051"`);
    } else for (const line of nodesText(report.nodes, Date.now())) this.log(line);
    if (report.grpc !== null) this.log(`This machine is ${report.nodeId} and takes requests at ${report.grpc} (gRPC).`);
    return report;
  }
}
