import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { packageRoot } from "../../test/support/assistant.ts";
import { pythonPackages } from "../../test/support/python.ts";
import { type Answer, type Ask, type Client, limitOf, SCHEMA, TOOL } from "./clients.ts";

export interface PythonClient extends Client, Disposable {}

type Message = { readonly id: number } & (
  | { readonly piece: true }
  | { readonly answer: Answer }
  | { readonly error: string; readonly status: number | null }
);

interface Pending {
  readonly ask: Ask;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** An official client of Python, in a process of its own for all that is asked. */
function pythonClient(module: string, packages: string, facts: Pick<Client, "retries" | "hasSchema">): PythonClient {
  const pending = new Map<number, Pending>();
  let child: ChildProcessWithoutNullStreams | null = null;
  let asks = 0;
  const start = (): ChildProcessWithoutNullStreams => {
    const program = join(packageRoot, "bench/compatibility/client.py");
    // litellm would otherwise wait for a list of prices.
    const env = { ...process.env, PYTHONPATH: packages, LITELLM_LOCAL_MODEL_COST_MAP: "True" };
    const started = spawn("python3", [program, module], { env });
    let complaint = "";
    started.stderr.on("data", (text: Buffer) => {
      complaint = (complaint + text.toString()).slice(-2_000);
    });
    started.on("exit", () => {
      for (const { reject } of pending.values()) reject(new Error(`The Python client ended: ${complaint}`));
    });
    createInterface({ input: started.stdout }).on("line", (line) => take(JSON.parse(line) as Message));
    return started;
  };
  const take = (message: Message): void => {
    const waiting = pending.get(message.id);
    if (waiting === undefined) return;
    if ("piece" in message) {
      waiting.ask.onPiece?.();
      return;
    }
    pending.delete(message.id);
    if ("answer" in message) waiting.resolve(message.answer);
    else waiting.reject(Object.assign(new Error(message.error), { status: message.status }));
  };
  return {
    name: `${module} (Python)`,
    ...facts,
    ask(ask) {
      child ??= start();
      const id = asks++;
      const { url, key, model, text, image = null } = ask;
      const line = {
        ...{ id, url, key, model, text, image, max_tokens: limitOf(ask) },
        ...{ streamed: ask.streamed === true, abort: ask.signal !== undefined },
        ...{ tool: ask.tool ? TOOL : null, schema: ask.schema ? SCHEMA : null },
      };
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      pending.set(id, { ask, resolve, reject });
      child.stdin.write(`${JSON.stringify(line)}\n`);
      return promise;
    },
    [Symbol.dispose]: () => void child?.kill(),
  };
}

const SDKS = { openai: "3.57.0", anthropic: "2.14.0", ollama: "0.6.3" } as const;
const LITELLM = { litellm: "1.110.2" } as const;

/** Releases by the clients' names. */
export const pythonVersions: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({ ...SDKS, ...LITELLM }).map(([name, version]) => [`${name} (Python)`, version]),
);

const installed = (versions: Readonly<Record<string, string>>): Promise<string> => {
  const packages = Object.entries(versions).map(([name, version]) => `${name}==${version}`);
  return pythonPackages(packages.join("-").replaceAll("==", "-"), packages);
};

/** A folder with the official clients of the APIs, and Ollama's, for `PYTHONPATH`. */
export const pythonSdkPackages = (): Promise<string> => installed(SDKS);

export async function pythonSdks(): Promise<readonly PythonClient[]> {
  const packages = await pythonSdkPackages();
  return [
    pythonClient("openai", packages, { retries: true, hasSchema: true }),
    pythonClient("anthropic", packages, { retries: true, hasSchema: false }),
    pythonClient("ollama", packages, { retries: false, hasSchema: true }),
  ];
}

/** A quarter of a gigabyte. */
export const liteLlm = async (): Promise<PythonClient> =>
  pythonClient("litellm", await installed(LITELLM), { retries: true, hasSchema: true });
