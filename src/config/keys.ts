import { createHash } from "node:crypto";
import type { ApiKey } from "../core/config.ts";
import type { ModelSpec } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { at } from "./draft.ts";
import { type Environment, variable } from "./environment.ts";
import type { Findings, Place } from "./findings.ts";
import type { MainFile } from "./schema/main.ts";

type Server = NonNullable<MainFile["server"]>;

/** The keys of the file, and the one of the environment, hashed. */
export function apiKeysOf(server: Server | undefined, env: Environment): ApiKey[] {
  const keys = (server?.api_key_sha256 ?? []).map(
    ({
      name,
      sha256,
      weight,
      scopes,
      models,
      max_in_flight: maxInFlight,
      requests_per_minute: requestsPerMinute,
      max_stored_mib: maxStoredMib,
      max_stored_records: maxStoredRecords,
    }): ApiKey => ({
      name,
      sha256: sha256.toLowerCase(),
      ...(weight === undefined ? {} : { weight }),
      ...(scopes === undefined ? {} : { scopes }),
      ...(models === undefined ? {} : { models }),
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
      ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
      ...(maxStoredMib === undefined ? {} : { maxStoredMib }),
      ...(maxStoredRecords === undefined ? {} : { maxStoredRecords }),
    }),
  );
  const plain = variable(env, "ASSISTANT_API_KEY");
  if (plain !== null) keys.push({ name: "environment", sha256: createHash("sha256").update(plain).digest("hex") });
  return keys;
}

/**
 * Warns of models that keys name and that there are not: such a key can do less than its writer thinks, which is no
 * reason to refuse it.
 */
export function checkKeyModels(
  findings: Findings,
  server: Server | undefined,
  root: Place,
  models: readonly ModelSpec[],
): void {
  const names = models.flatMap((model) => [model.name, ...model.aliases]);
  for (const [index, { models: allowed = [] }] of (server?.api_key_sha256 ?? []).entries()) {
    for (const [position, name] of allowed.entries()) {
      if (names.includes(name)) continue;
      const [nearest] = nearestNames(name, names, 1);
      const hint = nearest === undefined ? "" : ` (did you mean ${JSON.stringify(nearest)}?)`;
      findings.warning(
        at(root, "server", "api_key_sha256", index, "models", position),
        `no model is called ${JSON.stringify(name)}${hint}`,
      );
    }
  }
}
