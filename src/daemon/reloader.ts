import type { ReloadReport } from "../api/reload.ts";
import { diffModels, restartSettings } from "../config/diff.ts";
import { mistakesOf, noticeText } from "../config/findings.ts";
import { loadConfig } from "../config/load.ts";
import type { Clock } from "../core/clock.ts";
import type { Config, ConfigNotice } from "../core/config.ts";
import { oneAtATime } from "../core/one-at-a-time.ts";
import { currentVersion } from "../engines/llama-server/builds.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Current } from "./current.ts";
import { ConfigWatch } from "./watch.ts";

export interface ReloaderOptions {
  readonly current: Current;
  readonly clock: Clock;
  readonly log: Logger;
  /** Brings a configuration into force. */
  apply(config: Config): void;
}

/** Reloads the configuration: on request, and when a file changes. Keeps its errors until they are fixed. */
export class Reloader {
  readonly #options: ReloaderOptions;
  /** What addresses and the like are as long as this daemon runs. */
  readonly #started: Config;
  /** Why the main file could not be read the last time. */
  #refused: readonly ConfigNotice[] = [];
  /** The build of llama-server that is used. */
  #build: Promise<string | null>;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#started = options.current.config;
    this.#build = currentVersion(this.#started.paths.enginesDir);
  }

  /** Why the main file could not be read the last time; nothing where it was. */
  get refused(): readonly ConfigNotice[] {
    return this.#refused;
  }

  /** What is wrong with the files as they are now, or honoured differently from how it is written. */
  get notices(): readonly ConfigNotice[] {
    return [...this.#refused, ...this.#options.current.config.notices];
  }

  /** Settings that have changed since the daemon started and take effect when it is restarted. */
  get restartSettings(): string[] {
    return restartSettings(this.#started, this.#options.current.config);
  }

  /** Rejects with `config_invalid` and changes nothing when the main file is wrong. */
  readonly reload = oneAtATime(() => this.#reload());

  watch(): Disposable {
    const { current, clock } = this.#options;
    return new ConfigWatch({
      clock,
      watched: () => {
        const { paths, namedFiles } = current.config;
        return {
          files: [paths.configFile, ...namedFiles, ...current.engineFiles],
          directories: [paths.modelConfigDir, paths.pipelinesDir],
        };
      },
      onChange: () => void this.reload().catch(() => {}),
    });
  }

  async #noticeBuild(): Promise<void> {
    const { current, log } = this.#options;
    const before = await this.#build;
    this.#build = currentVersion(current.config.paths.enginesDir);
    const build = await this.#build;
    if (build !== before && build !== null)
      log.info({ build }, "another build of llama-server is used from the next start of each model");
  }

  async #reload(): Promise<ReloadReport> {
    const { current, log, apply } = this.#options;
    const { env, hardware, config: before } = current;
    const known = new Set(this.notices.map(noticeText));
    await this.#noticeBuild();
    // An error in a file is no reason to ignore a newly built engine.
    current.lookForEngines();
    let next: Config;
    try {
      next = await loadConfig({ env, hardware, inForce: before, keyring: true });
    } catch (error) {
      this.#refused = mistakesOf(error, before.paths.configFile);
      log.error({ error: String(error) }, "reload refused; the configuration stays as it was");
      throw error;
    }
    this.#refused = [];
    await current.replaceConfig(next);
    apply(next);
    const report = {
      ...reportOf(before, next),
      restartNeeded: this.restartSettings.length > 0,
      restartSettings: this.restartSettings,
    };
    log.info({ ...report, notices: next.notices.length }, "reloaded");
    for (const notice of next.notices) if (!known.has(noticeText(notice))) log.warn({ ...notice }, "configuration");
    return report;
  }
}

function reportOf(before: Config, next: Config): ReloadReport {
  const { added, removed, restart, updated } = diffModels(before, next);
  const names = (models: readonly { readonly name: string }[]): string[] => models.map((model) => model.name);
  const changed = [...names(restart), ...names(updated)];
  const touched = new Set([...names(added), ...changed]);
  return {
    added: names(added),
    removed: names(removed),
    changed,
    unchanged: names(next.models).filter((name) => !touched.has(name)),
    notices: next.notices,
  };
}
