import { join } from "node:path";
import type { DaemonStatus } from "../api/status.ts";
import type { Membership } from "../cluster/membership.ts";
import { noticeText } from "../config/findings.ts";
import { steadyClock } from "../core/clock.ts";
import { AssistantError } from "../core/errors.ts";
import { version } from "../core/package.ts";
import type { ControlPort } from "../gateway/ports.ts";
import type { PresetShelf } from "../models/presets/shelf.ts";
import { elsewhereIn } from "../registry/elsewhere.ts";
import { describeEntries, inventoryOf, loadedIn } from "../registry/inventory.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";
import { engineHints } from "./engine-hints.ts";
import { engineMetrics } from "./engine-metrics.ts";
import type { Listeners } from "./listeners.ts";
import type { Metering } from "./metering.ts";
import type { Reloader } from "./reloader.ts";
import { assembleStatus } from "./status.ts";

/** A live view asks every second; devices are probed no more often than this. */
const DEVICE_REFRESH_MS = 2_000;

const operations = { load: "start", unload: "stop", restart: "restart" } as const;

export interface ControlParts {
  readonly current: Current;
  readonly components: Components;
  /** What is wrong with what the daemon keeps, one sentence each. */
  problems(): readonly string[];
  readonly metering: Metering;
  readonly taskQueue: () => Tasks["queue"];
  readonly presets: Pick<PresetShelf, "look" | "notices">;
  /** Created after this, and use it. */
  listeners(): Listeners;
  /** Null: a single daemon. */
  membership(): Pick<Membership, "name" | "isDrained" | "setDrained"> | null;
  state(): DaemonStatus["state"];
  reloader(): Pick<Reloader, "reload" | "refused" | "notices" | "restartSettings">;
  stop(options: { readonly now: boolean }): void;
}

/** What the admin API asks of the daemon. */
export function createControl(parts: ControlParts): ControlPort {
  const { current, components, metering, presets } = parts;
  const { fleet, scheduler, remotes, memory, weights, directory, modelStore, headers } = components;
  const startedAt = steadyClock.now();
  let measuredAt = 0;

  const status = async (): Promise<DaemonStatus> => {
    const now = steadyClock.now();
    if (now - measuredAt > DEVICE_REFRESH_MS) {
      measuredAt = now;
      await Promise.all([memory.measure(), weights.look(), presets.look()]);
    }
    const hints = await engineHints(current, fleet.snapshots());
    const { url, grpc, problems } = parts.listeners();
    return assembleStatus({
      version,
      startedAt,
      now,
      state: parts.state(),
      url,
      config: current.config,
      notices: [...parts.reloader().notices, ...weights.notices, ...presets.notices],
      weightsProblem: (model) => weights.problem(model),
      restartSettings: parts.reloader().restartSettings,
      logFile: join(current.config.paths.logDir, "current.log"),
      hardware: current.hardware,
      instances: fleet.snapshots(),
      memory,
      scheduler: scheduler.snapshot(),
      nodes: remotes.status(),
      providers: remotes.providers(),
      grpc,
      models: [...directory.own(), ...directory.remote().filter(({ source }) => source.type !== "provider")],
      hints: [...hints, ...problems, ...parts.problems()],
    });
  };

  return {
    status,
    models: async () => {
      const { models, paths } = current.config;
      const entries = await inventoryOf(models, modelStore, loadedIn(fleet.snapshots()));
      const described = await describeEntries(entries, headers.read);
      const [refused] = parts.reloader().refused;
      return {
        configFile: paths.configFile,
        models: described,
        elsewhere: elsewhereIn(await status()),
        problem:
          refused === undefined
            ? null
            : `The configuration cannot be read; the daemon keeps the previous one:\n${noticeText(refused)}`,
      };
    },
    act: async (instanceId, action) => {
      if (!fleet.snapshots().some((snapshot) => snapshot.id === instanceId)) {
        throw new AssistantError("instance_not_found", `There is no instance ${JSON.stringify(instanceId)}.`, {
          remedy: "`assistant ps` lists the instances.",
        });
      }
      scheduler.operate(action, { instance: instanceId });
    },
    modelAct: async (name, action) =>
      scheduler.operate(operations[action], { model: directory.find(name)?.name ?? name }),
    keep: (name, idleTtlMs) => scheduler.keep(name, idleTtlMs),
    nodes: () => {
      const member = parts.membership();
      return {
        nodeId: remotes.nodeId,
        grpc: parts.listeners().grpc,
        cluster:
          member === null
            ? null
            : { name: member.name, drained: member.isDrained, inFlight: scheduler.snapshot().inFlight },
        nodes: remotes.status(),
      };
    },
    actOnNode: async ({ action, node }) => {
      const member = parts.membership();
      if (member === null)
        throw new AssistantError("node_not_found", "This machine is in no cluster.", {
          remedy: "Write the URL of a Redis as `[cluster] url` in config.toml, and restart the daemon.",
        });
      const drained = action === "drain";
      return { node: await member.setDrained(node ?? null, drained), drained };
    },
    isDrained: () => parts.membership()?.isDrained ?? false,
    usage: () => metering.usage(),
    usageByDay: (query) => metering.usageByDay(query),
    metrics: async ({ engines }) => {
      const { waiting, running } = parts.taskQueue();
      const own = await metering.metrics(await status(), { waiting, running: running.length });
      return engines ? `${own}\n${await engineMetrics(fleet.snapshots())}` : own;
    },
    reload: () => parts.reloader().reload(),
    shutdown: (options) => parts.stop(options),
  };
}
