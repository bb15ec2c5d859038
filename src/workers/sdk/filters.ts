import { isOpenCcConfig, type OpenCcConfig, openCcConfigs, openCcConverter } from "../../core/opencc.ts";
import type { ChatRecord, TextLevelFilteringInterface } from "./records.ts";
import { textArg } from "./records.ts";

type Args = Readonly<Record<string, unknown>>;

/** Converts between variants of Chinese, each record separately. `args`: `config`, default `s2twp`. */
export class OpenCC implements TextLevelFilteringInterface {
  readonly #config: OpenCcConfig;

  constructor(args: Args = {}) {
    const config = textArg(args, "config", "s2twp").replace(/\.json$/, "");
    if (!isOpenCcConfig(config))
      throw new TypeError(`"config" must be one of ${openCcConfigs.join(", ")}; found "${config}"`);
    this.#config = config;
  }

  async filter(records: readonly ChatRecord[]): Promise<readonly ChatRecord[]> {
    const convert = await openCcConverter(this.#config);
    return records.map(({ role, msg }) => ({ role, msg: convert(msg) }));
  }
}

const REGIONS: Readonly<Record<string, OpenCcConfig>> = { tw: "s2twp", cn: "tw2sp" };
/** A prefix that no word extends beyond: it ends with anything but a Han character. */
const UP_TO_BOUNDARY = /^[\s\S]*[^\p{Script=Han}]/u;
/** Words are much shorter: more than this is not buffered. */
const MAX_HELD_CHARACTERS = 64;

/**
 * Converts to the vocabulary of a region, `dst_region` `tw` or `cn`. A word may be split between pieces of an answer,
 * so Chinese text is buffered until it ends or punctuation follows.
 */
export class ContextualCC implements TextLevelFilteringInterface {
  readonly #config: OpenCcConfig;
  #held = "";

  constructor(args: Args = {}) {
    const region = textArg(args, "dst_region");
    const config = REGIONS[region];
    if (config === undefined) throw new TypeError(`"dst_region" must be tw or cn; found "${region}"`);
    this.#config = config;
  }

  session(): ContextualCC {
    return new ContextualCC({ dst_region: this.#config === REGIONS["tw"] ? "tw" : "cn" });
  }

  async filter(records: readonly ChatRecord[]): Promise<readonly ChatRecord[]> {
    const convert = await openCcConverter(this.#config);
    return records.map((record) => {
      // A message of the history is whole.
      if (record.role !== "bot") return { ...record, msg: convert(record.msg) };
      const text = this.#held + record.msg;
      const whole = text.length > MAX_HELD_CHARACTERS ? text : (UP_TO_BOUNDARY.exec(text)?.[0] ?? "");
      this.#held = text.slice(whole.length);
      return { ...record, msg: convert(whole) };
    });
  }

  async end(): Promise<readonly ChatRecord[]> {
    const held = this.#held;
    this.#held = "";
    return held === "" ? [] : [{ role: "bot", msg: (await openCcConverter(this.#config))(held) }];
  }
}

/** Keeps only the user's last message. */
export class FinalUserFilter implements TextLevelFilteringInterface {
  filter(records: readonly ChatRecord[]): readonly ChatRecord[] {
    const last = records.findLast(({ role }) => role === "user");
    return last === undefined ? [] : [last];
  }
}
