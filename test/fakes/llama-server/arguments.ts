/**
 * The flags of llama-server that the daemon may use, and whether each takes a value. Others are refused, as the real
 * one does.
 */
const valued = new Set(
  [
    "--host --model --alias --parallel --ctx-size --threads --threads-http --poll --device --gpu-layers --load-mode",
    "--cache-type-k --cache-type-v --cache-ram --batch-size --ubatch-size --pooling --chat-template --mmproj --temp --top-p --top-k",
    "--min-p --repeat-penalty --presence-penalty --frequency-penalty --predict --reverse-prompt --grammar --json-schema",
    "--sse-ping-interval --fit --log-colors --split-mode --main-gpu --tensor-split --slot-save-path --cache-reuse",
    "--flash-attn",
  ].flatMap((line) => line.split(" ")),
);
const bare = new Set(
  "--embeddings --jinja --no-escape --no-context-shift --offline --no-ui --slots --metrics --no-warmup".split(" "),
);

/** What `--help` says. */
export const helpText = [...valued, ...bare].map((flag) => `${flag} N       a flag`).join("\n");

export interface ServerArguments {
  readonly socketPath: string;
  readonly modelPath: string;
  readonly slots: number;
  /** Of one slot, as llama-server divides it. */
  readonly contextTokens: number;
}

/** Reads a command line as llama-server does. Throws with the real one's words on what it would not take. */
export function readServerArguments(argv: readonly string[]): ServerArguments {
  const values = new Map<string, string>();
  for (let index = 0; index < argv.length; index++) {
    const flag = argv[index] ?? "";
    if (bare.has(flag)) continue;
    if (!valued.has(flag)) throw new Error(`error: invalid argument: ${flag}`);
    const value = argv[++index];
    if (value === undefined) throw new Error(`error while handling argument "${flag}": expected value for argument`);
    values.set(flag, value);
  }
  const need = (flag: string): string => {
    const value = values.get(flag);
    if (value === undefined) throw new Error(`the fake llama-server needs ${flag}`);
    return value;
  };
  const slots = Number(need("--parallel"));
  return {
    socketPath: need("--host"),
    modelPath: need("--model"),
    slots,
    contextTokens: Math.floor(Number(need("--ctx-size")) / slots),
  };
}
