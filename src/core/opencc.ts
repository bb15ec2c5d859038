/** OpenCC's configurations, as locales of its JavaScript version: from, to. */
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

export type OpenCcConfig = keyof typeof CONFIGS;
export const openCcConfigs = Object.keys(CONFIGS) as readonly OpenCcConfig[];
export const isOpenCcConfig = (name: string): name is OpenCcConfig => Object.hasOwn(CONFIGS, name);

const converters = new Map<OpenCcConfig, Promise<(text: string) => string>>();

/**
 * Converts Chinese between its scripts and regional words. The dictionaries take a moment and some megabytes: they are
 * read when they are first needed.
 */
export function openCcConverter(config: OpenCcConfig): Promise<(text: string) => string> {
  let converter = converters.get(config);
  if (converter === undefined) {
    const [from, to] = CONFIGS[config];
    converter = import("opencc-js").then(({ Converter }) => Converter({ from, to }));
    converters.set(config, converter);
  }
  return converter;
}
