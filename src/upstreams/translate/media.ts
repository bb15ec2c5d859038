import type { Dialect } from "./dialect.ts";
import { type Body, isObject, isString, mustBe, refused } from "./refuse.ts";
import type { FilePart } from "./sdk.ts";

/** The part types for media, and their default media types. */
const FAMILY: Readonly<Record<string, string>> = {
  image_url: "image",
  input_audio: "audio",
  input_video: "video",
  video_url: "video",
  file: "application",
};

/** The field with the data, if a part has none. */
const NAMES: Readonly<Record<string, string>> = { input_audio: "data", file: "file_data" };

const TYPE_OF_ENDING: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  heic: "image/heic",
  heif: "image/heif",
  wav: "audio/wav",
  mp3: "audio/mp3",
  ogg: "audio/ogg",
  flac: "audio/flac",
  aac: "audio/aac",
  mp4: "video/mp4",
  mpeg: "video/mpeg",
  mov: "video/quicktime",
  webm: "video/webm",
  pdf: "application/pdf",
};

/**
 * An image, audio, video or document of a message, as data or as a URL that the provider fetches. `at`: its path in the
 * body.
 */
export function filePart(part: Body, at: string, dialect: Dialect): FilePart {
  const type = mustBe(part["type"], isString, "a string", `${at}.type`);
  const family = Object.hasOwn(FAMILY, type) ? FAMILY[type] : undefined;
  if (family === undefined)
    throw refused(
      `${at}.type`,
      `${at}.type is ${JSON.stringify(type.slice(0, 40))}, which this provider does not take.`,
    );
  const held = isObject(part[type]) ? (part[type] as Body) : {};
  if (held["detail"] === "low")
    throw refused(
      `${at}.${type}.detail`,
      `${at}.${type}.detail must be "auto" or "high": the provider has no coarser view of an image.`,
    );
  const { format, filename } = held;
  const name = ["url", "data", "file_data"].find((each) => held[each] !== undefined) ?? NAMES[type] ?? "url";
  const named = `${at}.${type}.${name}`;
  const source = mustBe(held[name], isString, "a string", named);
  const file = /^data:/i.test(source)
    ? fromDataUrl(source, family, named)
    : name === "data"
      ? { data: { type: "data" as const, data: source }, mediaType: `${family}/${isString(format) ? format : "*"}` }
      : fromAddress(source, family, named, dialect);
  if (!dialect.media.test(file.mediaType))
    throw refused(named, `${named} is ${file.mediaType}, which the models of this provider do not take.`);
  return { type: "file", ...file, ...(isString(filename) ? { filename } : {}) };
}

type File = Pick<FilePart, "data" | "mediaType">;

function fromDataUrl(url: string, family: string, named: string): File {
  const comma = url.indexOf(",");
  const [mediaType = "", ...parameters] = url.slice("data:".length, comma).split(";");
  if (comma < 0 || !parameters.some((parameter) => parameter.trim().toLowerCase() === "base64"))
    throw refused(named, `${named} must be a data URL in base64, as in "data:image/png;base64,…".`);
  return {
    data: { type: "data", data: url.slice(comma + 1) },
    mediaType: mediaType === "" ? `${family}/*` : mediaType.toLowerCase(),
  };
}

function fromAddress(address: string, family: string, named: string, dialect: Dialect): File {
  const url = URL.parse(address);
  if (url === null || url.protocol !== "https:")
    throw refused(named, `${named} must be a data URL, or an https:// address which the provider can fetch.`);
  const ending = /\.([a-z0-9]+)$/i.exec(url.pathname)?.[1]?.toLowerCase() ?? "";
  const mediaType = TYPE_OF_ENDING[ending];
  if (mediaType === undefined && dialect.needsMediaType)
    throw refused(
      named,
      `${named} does not end in a known file type (.png, .jpg, …), which this provider requires.`,
      "Send the file itself, as a data URL.",
    );
  return { data: { type: "url", url }, mediaType: mediaType ?? `${family}/*` };
}
