import type { ChatRecord, TextLevelFilteringInterface } from "./records.ts";
import { textArg } from "./records.ts";

type Args = Readonly<Record<string, unknown>>;
type Convert = (text: string) => string;

/** OpenCC's configurations, as the locales that its JavaScript version knows. */
const CONFIGS = {
  s2t: ["cn", "t"],
  t2s: ["t", "cn"],
  s2tw: ["cn", "tw"],
  tw2s: ["tw", "cn"],
  s2twp: ["cn", "twp"],
  tw2sp: ["twp", "cn"],
  s2hk: ["cn", "hk"],
  hk2s: ["hk", "cn"],
  t2tw: ["t", "tw"],
  tw2t: ["tw", "t"],
  t2hk: ["t", "hk"],
  hk2t: ["hk", "t"],
  t2jp: ["t", "jp"],
  jp2t: ["jp", "t"],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;
type OpenCcConfig = keyof typeof CONFIGS;

const converters = new Map<OpenCcConfig, Promise<Convert>>();

/** The dictionaries take a moment and some megabytes: they are read when they are first needed. */
function converterOf(config: OpenCcConfig): Promise<Convert> {
  let converter = converters.get(config);
  if (converter === undefined) {
    const [from, to] = CONFIGS[config];
    converter = import("opencc-js").then(({ Converter }) => Converter({ from, to }));
    converters.set(config, converter);
  }
  return converter;
}

const isConfig = (name: string): name is OpenCcConfig => Object.hasOwn(CONFIGS, name);

/** Converts between forms of Chinese, each record for itself. `args`: `config`, default `s2twp`. */
export class OpenCC implements TextLevelFilteringInterface {
  readonly #config: OpenCcConfig;

  constructor(args: Args = {}) {
    const config = textArg(args, "config", "s2twp").replace(/\.json$/, "");
    if (!isConfig(config))
      throw new TypeError(`"config" must be one of ${Object.keys(CONFIGS).join(", ")}; found "${config}"`);
    this.#config = config;
  }

  async filter(records: readonly ChatRecord[]): Promise<readonly ChatRecord[]> {
    const convert = await converterOf(this.#config);
    return records.map(({ role, msg }) => ({ role, msg: convert(msg) }));
  }
}

const REGIONS: Readonly<Record<string, OpenCcConfig>> = { tw: "s2twp", cn: "tw2sp" };
/** The end of a text behind which no word can go on: anything but a Han character. */
const UP_TO_BOUNDARY = /^[\s\S]*[^\p{Script=Han}]/u;
/** Words are shorter by far: more than this is not held back. */
const MAX_HELD_CHARACTERS = 64;

/**
 * Converts to the words of a region, `dst_region` `tw` or `cn`, by context: in an answer that comes in pieces a word may
 * be cut anywhere, so that Chinese text is held back until it ends or a sign follows it.
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
    const convert = await converterOf(this.#config);
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
    return held === "" ? [] : [{ role: "bot", msg: (await converterOf(this.#config))(held) }];
  }
}

/** Keeps the last message of the user alone. */
export class FinalUserFilter implements TextLevelFilteringInterface {
  filter(records: readonly ChatRecord[]): readonly ChatRecord[] {
    const last = records.findLast(({ role }) => role === "user");
    return last === undefined ? [] : [last];
  }
}
