import type { NodesReport } from "../../src/api/nodes.ts";
import { connect } from "../../src/client/daemon-client.ts";
import { plural } from "../../src/ui/format.ts";
import { nodesText } from "../../src/ui/nodes-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class NodeList extends BaseCommand {
  static override summary = "List remote servers and their state";
  static override description =
    "Remote servers are the machines of [[remote_servers]] and of the [cluster]. " +
    "They take requests when this machine is busy, and serve models that it does not have.";
  static override examples = [
    { description: "List them", command: "<%= config.bin %> node list" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> node list --json" },
  ];

  async run(): Promise<NodesReport> {
    const { flags } = await this.parse(NodeList);
    const { client } = await connect(this.context(flags).paths);
    const report = await client.nodes();
    const { cluster } = report;
    if (report.nodes.length === 0 && cluster !== null) this.log("No other machine is in the cluster.");
    else if (report.nodes.length === 0) {
      this.log("No remote servers are configured.");
      this.log(`Add one to config.toml:\n  [[remote_servers]]\n  name = "other"\n  grpc_addr = "192.168.1.20:50051"`);
    } else for (const line of nodesText(report.nodes, Date.now())) this.log(line);
    if (cluster !== null) {
      const drained = cluster.drained
        ? `, which is drained and has ${plural(cluster.inFlight, "request")} left. \`assistant node uncordon\` uses it again`
        : "";
      this.log(`This machine is ${cluster.name} of the cluster${drained}.`);
    }
    if (report.grpc !== null) this.log(`This machine is ${report.nodeId} and takes requests at ${report.grpc} (gRPC).`);
    return report;
  }
}
