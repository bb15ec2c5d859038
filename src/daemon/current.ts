import type { Environment } from "../config/environment.ts";
import type { Config } from "../core/config.ts";
import { type Device, type Hardware, withReserve } from "../core/device.ts";
import type { Documents } from "../core/documents.ts";
import { type EngineFolder, engineFiles } from "../engines/choice.ts";
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
    this.#hardware = this.#reserving(hardware);
    this.#engines = this.#findEngines();
  }

  get config(): Config {
    return this.#config;
  }
  /** With what the configuration reserves of each GPU. */
  get hardware(): Hardware {
    return this.#hardware;
  }
  get engines(): EngineSet {
    return this.#engines;
  }

  /** Files whose change may mean other engines. */
  get engineFiles(): readonly string[] {
    return engineFiles(this.#engineFolder());
  }

  /** The engines are looked for anew: a llama-server may have been built or chosen since. */
  replaceConfig(config: Config): void {
    this.#config = config;
    this.#hardware = this.#reserving(this.#hardware);
    this.lookForEngines();
  }

  lookForEngines(): void {
    this.#engines = this.#findEngines();
  }

  replaceDevices(devices: readonly Device[]): void {
    this.#hardware = this.#reserving({ ...this.#hardware, devices });
  }

  #reserving(hardware: Hardware): Hardware {
    return { ...hardware, devices: hardware.devices.map((device) => withReserve(device, this.#config.vramReserve)) };
  }

  #findEngines(): EngineSet {
    const { llamaServerPath } = this.#config;
    const folder = this.#engineFolder();
    const { env } = this;
    return createEngines({ folder, llamaServerPath, pathVariable: env["PATH"] ?? "", env, nodePath: process.execPath });
  }

  #engineFolder(): EngineFolder {
    return { enginesDir: this.#config.paths.enginesDir, choices: this.#choices };
  }
}
