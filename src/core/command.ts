/** Signals that ask a program to end. */
export const stopSignals = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const;
export type StopSignal = (typeof stopSignals)[number];

/** What `run` and the values of `env` may hold in braces, with what it becomes. */
export const placeholders = {
  model: "`source` or `model_path` of the model",
  name: "name of the model",
  port: "loopback port that the program must listen on",
  socket: "path of a Unix socket that the program must listen on instead",
  device: "`cpu`, or a GPU such as `cuda:0`; the program sees only this GPU, as number 0",
  threads: "threads that it may use",
  context: "`ctx_size`",
  slots: "`slots`",
} as const;
export type Placeholder = keyof typeof placeholders;

/** Names in braces of a text, as written, known or not. */
export const placeholdersIn = (text: string): string[] =>
  [...text.matchAll(/\{([a-z_]+)\}/g)].map(([, name = ""]) => name);

/** The text with each placeholder replaced by its value. */
export const filledIn = (text: string, values: Readonly<Record<Placeholder, string>>): string =>
  text.replace(/\{([a-z_]+)\}/g, (written, name: string) =>
    Object.hasOwn(values, name) ? values[name as Placeholder] : written,
  );

/** How a server that is not one of ours is run: the [command] section of a model file. */
export interface CommandSettings {
  /** Program and arguments, with placeholders. */
  readonly run: readonly string[];
  /** What of `{port}` and `{socket}` it was given. */
  readonly listens: "port" | "socket";
  /** Its port must be that of a process which it has started itself; not so for a container. */
  readonly ownListener: boolean;
  /** GET it, and a status of 200 to 299 means that the program is ready. */
  readonly healthPath: string;
  /** Values may have placeholders. */
  readonly env: Readonly<Record<string, string>>;
  /** Names of variables that it inherits from the daemon's environment, in addition to those of every engine. */
  readonly passEnv: readonly string[];
  /** "": the daemon's own. */
  readonly workingDir: string;
  readonly stopSignal: StopSignal;
  /** Milliseconds from that signal to SIGKILL. */
  readonly stopGraceMs: number;
  /** What the program expects as `model` of a request; "": whatever the client wrote. */
  readonly servedModel: string;
  /** Memory of one instance, MiB; null: as measured, once it runs. */
  readonly memoryMib: number | null;
}
