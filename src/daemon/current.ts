import type { Environment } from "../config/environment.ts";
import type { Config } from "../core/config.ts";
import type { Device, Hardware } from "../core/device.ts";
import type { Documents } from "../core/documents.ts";
import { createEngines, type EngineSet } from "../engines/index.ts";

/** What holds now: the configuration, the machine and its engines. The daemon replaces them, everybody else reads. */
export class Current {
  readonly env: Environment;
  readonly #choices: Documents;
  #config: Config;
  #hardware: Hardware;
  #engines: EngineSet;

  constructor(env: Environment, config: Config, hardware: Hardware, choices: Documents) {
    this.env = env;
    this.#choices = choices;
    this.#config = config;
    this.#hardware = hardware;
    this.#engines = this.#findEngines();
  }

  get config(): Config {
    return this.#config;
  }
  get hardware(): Hardware {
    return this.#hardware;
  }
  get engines(): EngineSet {
    return this.#engines;
  }

  /** The engines are looked for anew: a llama-server may have been built or chosen since. */
  replaceConfig(config: Config): void {
    this.#config = config;
    this.#engines = this.#findEngines();
  }

  replaceDevices(devices: readonly Device[]): void {
    this.#hardware = { ...this.#hardware, devices };
  }

  #findEngines(): EngineSet {
    const { paths, llamaServerPath } = this.#config;
    const folder = { enginesDir: paths.enginesDir, choices: this.#choices };
    const { env } = this;
    return createEngines({ folder, llamaServerPath, pathVariable: env["PATH"] ?? "", env, nodePath: process.execPath });
  }
}
