import { readFile, stat } from "node:fs/promises";
import type { RemoteServer } from "../core/config.ts";
import type { Provider } from "../core/provider.ts";
import { defaults } from "./defaults.ts";
import { at } from "./draft.ts";
import { type Environment, variable } from "./environment.ts";
import { type Findings, type Place, placeText } from "./findings.ts";
import { type KeyringAnswer, keyringEntry, readKeyring } from "./keyring.ts";
import { isLoopback } from "./network.ts";
import { pathIn } from "./paths.ts";
import { type ProviderPreset, providerPresets, setKeyVariable } from "./provider-presets.ts";
import { SERVER_NAME } from "./remotes.ts";
import type { MainFile } from "./schema/main.ts";

type Entry = NonNullable<MainFile["providers"]>[number];

/** A key is one line. */
const MAX_KEY_BYTES = 8 * 1024;

/**
 * The validated `[[providers]]`, and the files from which their keys were read. `keyring`: whether to read the
 * system's, which may ask the user to unlock it.
 */
export async function providersOf(
  findings: Findings,
  entries: readonly Entry[],
  remotes: readonly RemoteServer[],
  root: Place,
  { env, keyring }: { readonly env: Environment; readonly keyring: boolean },
): Promise<{ readonly providers: Provider[]; readonly keyFiles: string[] }> {
  const providers: Provider[] = [];
  const keyFiles: string[] = [];
  // All at once, so that a keyring which does not answer holds up the start only once.
  const secrets = entries.map(({ api_key_keyring: written, enabled = true }) =>
    written !== undefined && keyring && enabled ? readKeyring(keyringEntry(written), env) : null,
  );
  const places = new Map<string, Place>(remotes.map(({ name }) => [name, at(root, "remote_servers")]));
  for (const [index, entry] of entries.entries()) {
    const place = at(root, "providers", index);
    const preset: ProviderPreset | null = entry.preset === undefined ? null : providerPresets[entry.preset];
    const name = nameOf(findings, entry, place, places);
    const baseUrl = baseUrlOf(findings, entry, preset, place);
    if (name === null || baseUrl === null) continue;
    const enabled = entry.enabled ?? true;
    const written = ["api_key_env", "api_key_file", "api_key_keyring"].filter((key) => key in entry);
    if (written[1] !== undefined)
      findings.mistake(at(place, written[1]), `there is an \`${written[0]}\` too; keep one of the two`);
    const key =
      entry.api_key_keyring === undefined
        ? await keyOf(findings, entry, preset, place, enabled, env)
        : keyInKeyring(findings, entry.api_key_keyring, at(place, "api_key_keyring"), await secrets[index]);
    if (entry.api_key_file !== undefined) keyFiles.push(pathIn(root.source.file, entry.api_key_file, env));
    if (entry.discovery === false && entry.models?.some((model) => model.includes("*")))
      findings.warning(at(place, "models"), "a name with `*` matches nothing if `discovery = false`; list full names");
    const type = entry.type ?? preset?.type ?? "openai-compatible";
    for (const key of ["llama_cpp", "limit_field"] as const)
      if (entry[key] !== undefined && type !== "openai-compatible")
        findings.warning(at(place, key), `has no effect on a provider of the type "${type}"; remove it`);
    providers.push({
      name,
      type,
      baseUrl: baseUrl.href.replace(/\/+$/, ""),
      ...key,
      headers: headersOf(entry),
      proxy: proxyFor(baseUrl, env),
      connectTimeoutMs: (entry.connect_timeout_s ?? defaults.providerConnectTimeoutS) * 1000,
      silenceTimeoutMs: (entry.timeout_s ?? defaults.providerTimeoutS) * 1000,
      weight: entry.weight ?? defaults.remoteWeight,
      maxConcurrency: entry.max_concurrency ?? defaults.providerConcurrency,
      discovery: entry.discovery ?? true,
      models: entry.models ?? null,
      takesLlamaFields: entry.llama_cpp ?? preset?.isAssistant ?? false,
      limitField: entry.limit_field ?? preset?.limitField ?? null,
      isAssistant: preset?.isAssistant ?? false,
      enabled,
    });
  }
  return { providers, keyFiles };
}

function nameOf(findings: Findings, entry: Entry, place: Place, places: Map<string, Place>): string | null {
  const name = entry.name ?? entry.preset;
  if (name === undefined) {
    findings.mistake(place, '`name` is missing: expected a name such as "openai", or a `preset`');
    return null;
  }
  if (!SERVER_NAME.test(name)) {
    findings.mistake(
      at(place, "name"),
      `${JSON.stringify(name)} cannot be a provider's name: expected up to 64 letters, digits and . _ -, beginning with a letter or digit`,
    );
    return null;
  }
  const other = places.get(name);
  if (other !== undefined) {
    const what = other.path[0] === "providers" ? "two providers have" : "a remote server and a provider have";
    findings.mistake(place, `${what} the name ${JSON.stringify(name)}, the other at ${placeText(other)}; rename one`);
    return null;
  }
  places.set(name, place);
  return name;
}

function baseUrlOf(findings: Findings, entry: Entry, preset: ProviderPreset | null, place: Place): URL | null {
  const written = entry.base_url ?? preset?.baseUrl;
  if (written === undefined) {
    findings.mistake(
      place,
      '`base_url` is missing: expected the address of its API with the version, such as "https://api.openai.com/v1", or a `preset`',
    );
    return null;
  }
  const problem = addressProblem(written);
  if (problem === null) return new URL(written);
  findings.mistake(at(place, "base_url"), problem);
  return null;
}

/** What is wrong with the address of a service; null: nothing. */
export function addressProblem(written: string): string | null {
  const url = URL.parse(written);
  return url === null || (url.protocol !== "http:" && url.protocol !== "https:")
    ? `expected an address such as "https://api.openai.com/v1", found ${JSON.stringify(written.slice(0, 100))}`
    : url.username !== "" || url.password !== ""
      ? "contains a user or a password; set the key with `api_key_env`, `api_key_file` or `api_key_keyring`"
      : url.search !== "" || url.hash !== ""
        ? "ends in a query or fragment; write the address up to its path"
        : /\/chat\/completions\/?$|\/models\/?$/.test(url.pathname)
          ? "is the URL of a single call; end it with the version, as in https://api.openai.com/v1"
          : null;
}

/** The key and where it is from. One that is not there is a warning: what needs none of it still serves. */
async function keyOf(
  findings: Findings,
  entry: Entry,
  preset: ProviderPreset | null,
  place: Place,
  enabled: boolean,
  env: Environment,
): Promise<Pick<Provider, "apiKey" | "keySource">> {
  if (entry.api_key_file !== undefined) {
    const file = pathIn(place.source.file, entry.api_key_file, env);
    const { key, problem } = await keyInFile(file);
    if (problem !== null && enabled) findings.warning(at(place, "api_key_file"), problem);
    return { apiKey: key, keySource: `the file ${file}` };
  }
  const usual = preset?.keyVariable ?? null;
  const name = entry.api_key_env ?? (usual === null ? null : setKeyVariable(usual, env));
  if (name === null) return { apiKey: null, keySource: null };
  const key = variable(env, name)?.trim() ?? null;
  const problem =
    key === null ? "is not set, so the provider is called without a key; set it for the daemon" : flawOf(key);
  if (problem !== null && enabled)
    findings.warning(
      entry.api_key_env === undefined ? at(place, "preset") : at(place, "api_key_env"),
      `the environment variable ${name} ${problem}`,
    );
  return { apiKey: problem === null ? key : null, keySource: `the environment variable ${name}` };
}

/** `answer`: nothing where the keyring was not to be read. */
function keyInKeyring(
  findings: Findings,
  written: string,
  place: Place,
  answer: KeyringAnswer | null | undefined,
): Pick<Provider, "apiKey" | "keySource"> {
  const keySource = `the keyring entry ${written}`;
  if (answer === null || answer === undefined) return { apiKey: null, keySource };
  const problem = "problem" in answer ? answer.problem : flawOf(answer.secret);
  if (problem === null) return { apiKey: "secret" in answer ? answer.secret : null, keySource };
  findings.warning(place, `${keySource} ${problem}. The provider is called without a key`);
  return { apiKey: null, keySource };
}

async function keyInFile(file: string): Promise<{ readonly key: string | null; readonly problem: string | null }> {
  try {
    const { size, mode } = await stat(file);
    if (size > MAX_KEY_BYTES) return { key: null, problem: `${file} is too large to be a key` };
    const key = (await readFile(file, "utf8")).trim();
    if (key === "") return { key: null, problem: `${file} is empty, so the provider is called without a key` };
    const flaw = flawOf(key);
    if (flaw !== null) return { key: null, problem: `${file} ${flaw}` };
    const isOpen = (mode & 0o044) !== 0;
    return { key, problem: isOpen ? `${file} can be read by other users; run \`chmod 600 ${file}\`` : null };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "is not there" : `cannot be read (${code ?? message})`;
    return { key: null, problem: `${file} ${why}, so the provider is called without a key` };
  }
}

/** What a header cannot hold. */
const flawOf = (key: string): string | null =>
  /^[\x21-\x7e]+$/.test(key) ? null : "does not contain a single key; expected one line of printable characters";

const headersOf = ({ headers = [] }: Entry): Record<string, string> =>
  Object.fromEntries(
    headers.map((header) => {
      const colon = header.indexOf(":");
      return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()];
    }),
  );

/** As curl and pip read the variables; never for addresses of this machine. */
function proxyFor(url: URL, env: Environment): string | null {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isLoopback(host)) return null;
  const either = (name: string): string | null => variable(env, name) ?? variable(env, name.toUpperCase());
  const exceptions = (either("no_proxy") ?? "").split(",").map((entry) => entry.trim().replace(/^\*?\./, ""));
  if (exceptions.some((entry) => entry === "*" || (entry !== "" && (host === entry || host.endsWith(`.${entry}`)))))
    return null;
  return url.protocol === "https:" ? either("https_proxy") : either("http_proxy");
}
