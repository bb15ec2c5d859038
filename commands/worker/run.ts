import { Args, Flags } from "@oclif/core";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class WorkerRun extends BaseCommand {
  static override summary = "Run a worker until it is stopped";
  static override description =
    "TARGET is a folder with a layout.yaml, whose name becomes the model's, a layout (a YAML file), " +
    "or a module that exports a `layout` or an `app` of handlers (MODULE:NAME for another export). " +
    "Without TARGET, the layout is LAYOUT_CONFIG, or default_layout.yaml or layout.yaml in the current folder. " +
    "The environment variables of the worker SDK also apply; flags override them.";
  static override examples = [
    { description: "Run a folder that `worker new` wrote", command: "<%= config.bin %> worker run shout" },
    { description: "Run a layout", command: "<%= config.bin %> worker run layout.yaml --name echo" },
    {
      description: "Run the handlers of a module in two processes",
      command: "<%= config.bin %> worker run handlers.ts --workers 2 --reload",
    },
    { description: "Run a module", command: "<%= config.bin %> worker run worker.ts --name shout --slots 4" },
  ];
  static override args = { target: Args.string({ description: "folder, layout or module" }) };
  static override flags = {
    name: Flags.string({ description: "name of the model (LLM_NAME)" }),
    port: Flags.integer({ min: 0, max: 65_535, description: "port to listen on (PORT; default: a free one)" }),
    slots: Flags.integer({ min: 1, max: 1024, description: "concurrent requests (SLOTS; default: 1)" }),
    "public-address": Flags.string({
      helpValue: "HOST",
      description: "host at which the daemon reaches it (PUBLIC_ADDRESS; default: localhost)",
    }),
    agent: Flags.string({
      helpValue: "URL",
      description: "registry of the daemon (AGENT_ENDPOINT; default: the daemon of this machine)",
    }),
    host: Flags.string({ default: "127.0.0.1", description: "handlers: address to listen on" }),
    workers: Flags.integer({ min: 1, max: 256, default: 1, description: "handlers: number of processes" }),
    reload: Flags.boolean({ description: "handlers: restart the processes when the module's folder changes" }),
    "api-server": Flags.string({
      helpValue: "URL",
      description: "handlers: daemon to register with (default: the one of this machine)",
    }),
    "object-store": Flags.string({
      helpValue: "URL",
      description: "handlers: daemon that stores their objects (default: the one they register with)",
    }),
    "replica-id": Flags.string({ default: "auto", description: "handlers: replica id to register" }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(WorkerRun);
    const { runTarget } = await import("../support/worker/run.ts");
    const code = await runTarget(
      args.target ?? null,
      this.context(flags),
      {
        LLM_NAME: flags.name,
        PORT: flags.port?.toString(),
        SLOTS: flags.slots?.toString(),
        PUBLIC_ADDRESS: flags["public-address"],
        AGENT_ENDPOINT: flags.agent,
      },
      {
        ...{ host: flags.host, port: flags.port ?? 0, workers: flags.workers, reload: flags.reload },
        ...(flags["api-server"] === undefined ? {} : { apiServer: flags["api-server"] }),
        ...{ objectStore: flags["object-store"] ?? "", replicaId: flags["replica-id"] },
        say: (text) => this.say(text),
      },
    );
    this.exit(code);
  }
}
