import type { Environment } from "../config/environment.ts";
import type { Config } from "../core/config.ts";
import { type Device, type Hardware, withReserve } from "../core/device.ts";
import type { Documents } from "../core/documents.ts";
import type { ModelSpec } from "../core/model.ts";
import { type EngineFolder, engineFiles } from "../engines/choice.ts";
import { createEngines, type EngineSet } from "../engines/index.ts";
import { devicesThatFit } from "./device-fit.ts";

/** The current state: the configuration, the machine and its engines. The daemon replaces them, others read. */
export class Current {
  readonly env: Environment;
  readonly #choices: Documents;
  #config: Config;
  #hardware: Hardware;
  #engines: EngineSet;
  #fitting: ReadonlyMap<string, readonly string[]> = new Map();

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

  /** The configured models, each with the devices that its engine can use where its file names none. */
  get models(): readonly ModelSpec[] {
    return this.#config.models.map((model) => {
      const devices = this.#fitting.get(model.name);
      return devices === undefined || model.devices.length > 0 ? model : { ...model, devices };
    });
  }

  /** Names of models that are kept to the CPU although there are GPUs. */
  get keptFromGpus(): readonly string[] {
    return [...this.#fitting].flatMap(([name, devices]) => (devices.includes("cpu") ? [name] : []));
  }

  /** Before the scheduler receives the first configuration; `replaceConfig` is for later ones. */
  async fitDevices(): Promise<void> {
    this.#fitting = await devicesThatFit(this.#config.models, this.#hardware.devices, this.#engines);
  }

  /** The engines are detected again: a llama-server may have been built or selected since. */
  async replaceConfig(config: Config): Promise<void> {
    const engines = this.#findEngines(config);
    const fitting = await devicesThatFit(config.models, this.#hardware.devices, engines);
    this.#config = config;
    this.#hardware = this.#reserving(this.#hardware);
    this.#engines = engines;
    this.#fitting = fitting;
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

  #findEngines(config = this.#config): EngineSet {
    const { llamaServerPath } = config;
    const folder = this.#engineFolder(config);
    const { env } = this;
    return createEngines({ folder, llamaServerPath, pathVariable: env["PATH"] ?? "", env, nodePath: process.execPath });
  }

  #engineFolder(config = this.#config): EngineFolder {
    return { enginesDir: config.paths.enginesDir, choices: this.#choices };
  }
}
