import { openNodeStore } from "../../../src/cluster/model-store.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { addressText } from "../../../src/config/network.ts";
import type { RemoteServer } from "../../../src/core/config.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import type { NodeStore } from "../../../src/models/pull.ts";
import type { CommandContext } from "../cli/context.ts";

/**
 * The store of a remote server of the configuration. Throws `config_invalid`, or `usage` with the servers that there
 * are.
 */
export async function openStoreOf(given: string, context: CommandContext): Promise<NodeStore & Disposable> {
  const { remotes, paths } = await loadConfig({ env: context.env, configFile: context.paths.configFile });
  return openNodeStore(remoteNamed(given, remotes, paths.configFile));
}

/** The remote server of this name or address. Pure. */
export function remoteNamed(given: string, remotes: readonly RemoteServer[], configFile: string): RemoteServer {
  const found =
    remotes.find(({ name }) => name === given) ?? remotes.find(({ address }) => addressText(address) === given);
  if (found?.enabled === true) return found;
  if (found !== undefined) {
    throw new AssistantError("usage", `The remote server ${JSON.stringify(found.name)} is switched off.`, {
      param: "from",
      remedy: `Write \`enabled = true\` into its entry in ${configFile}.`,
    });
  }
  const near = nearestNames(
    given,
    remotes.map(({ name }) => name),
  );
  const listed = remotes.map(({ name, address }) => `${name} (${addressText(address)})`).join(", ");
  throw new AssistantError("usage", `There is no remote server ${JSON.stringify(given)} in the configuration.`, {
    param: "from",
    remedy:
      remotes.length === 0
        ? `Add a [[remote_servers]] entry with name and grpc_addr to ${configFile}.`
        : `${near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : ""}Configured are ${listed}.`,
  });
}
