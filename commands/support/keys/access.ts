import type { AuditReport } from "../../../src/api/audit.ts";
import type { KeyOrder, KeyView, NewKey } from "../../../src/api/keys.ts";
import { connectIfRunning } from "../../../src/client/daemon-client.ts";
import type { CommandContext } from "../cli/context.ts";

/** Keys as commands see them: through the daemon where one runs, else in the store. */
export interface KeyAccess extends AsyncDisposable {
  /** Whether a daemon does it. */
  readonly isRunning: boolean;
  list(): Promise<readonly KeyView[]>;
  show(name: string): Promise<KeyView>;
  create(order: KeyOrder): Promise<NewKey>;
  rotate(name: string, graceS: number): Promise<NewKey>;
  revoke(name: string, options: { readonly forget: boolean }): Promise<KeyView>;
  audit(query: { readonly since?: number; readonly limit: number }): Promise<AuditReport>;
}

export async function keyAccess(context: CommandContext): Promise<KeyAccess> {
  const connection = await connectIfRunning(context.paths);
  if (connection === null) return await withoutDaemon(context);
  const { client } = connection;
  return {
    isRunning: true,
    list: async () => (await client.keys()).keys,
    show: (name) => client.key(name),
    create: (order) => client.createKey(order),
    rotate: (name, graceS) => client.rotateKey(name, graceS),
    revoke: async (name, options) => (await client.revokeKey(name, options)).key,
    audit: (query) => client.audit(query),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function withoutDaemon({ env, paths }: CommandContext): Promise<KeyAccess> {
  const [{ loadConfig }, { KeyRing }, { AuditTrail }, { records }] = await Promise.all([
    import("../../../src/config/load.ts"),
    import("../../../src/keys/key-ring.ts"),
    import("../../../src/keys/audit-trail.ts"),
    import("../stores.ts"),
  ]);
  const config = await loadConfig({ env, configFile: paths.configFile });
  const store = await records(config);
  const keys = new KeyRing({ store, paths, configured: () => config.apiKeys });
  const trail = new AuditTrail(store);
  const noted = async <Result>(action: string, target: string, change: Promise<Result>): Promise<Result> => {
    const result = await change;
    const entry = { action, target, actor: "local", via: "command", status: 200, requestId: null } as const;
    await trail.append({ at: Date.now(), ...entry });
    return result;
  };
  return {
    isRunning: false,
    list: () => keys.list(),
    show: (name) => keys.show(name),
    create: (order) => noted("key.create", order.name, keys.create(order)),
    rotate: (name, graceS) => noted("key.change", `rotate ${name}`, keys.rotate(name, graceS)),
    revoke: (name, options) => noted("key.change", `revoke ${name}`, keys.revoke(name, options)),
    audit: (query) => trail.list(query),
    [Symbol.asyncDispose]: () => store.close(),
  };
}
