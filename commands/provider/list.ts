import type { ProviderStatus } from "../../src/api/providers.ts";
import { connect } from "../../src/client/daemon-client.ts";
import { providersText } from "../../src/ui/providers-text.ts";
import { BaseCommand } from "../support/cli/base-command.ts";

export default class ProviderList extends BaseCommand {
  static override summary = "List providers and their state";
  static override description =
    "Providers are the [[providers]] of the configuration: services that run models elsewhere, such as OpenAI, " +
    "OpenRouter, Ollama or another Assistant.";
  static override examples = [
    { description: "List them", command: "<%= config.bin %> provider list" },
    { description: "As JSON, for scripts", command: "<%= config.bin %> provider list --json" },
  ];

  async run(): Promise<{ readonly providers: readonly ProviderStatus[] }> {
    const { flags } = await this.parse(ProviderList);
    const { status } = await connect(this.context(flags).paths);
    const { providers = [] } = status;
    if (providers.length === 0) {
      this.log("No providers are configured.");
      this.log('Add one to config.toml:\n  [[providers]]\n  preset = "openai"');
    } else for (const line of providersText(providers, Date.now())) this.log(line);
    return { providers };
  }
}
