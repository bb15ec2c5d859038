/**
 * How each peer is started in front of the stub. Every one is set up as somebody would who wants it to be quick: one
 * worker, no log of requests, no limit on requests, room for all the clients.
 */
import { dirname } from "node:path";

/** Where a peer finds the stub, and where it may keep things. */
export interface Place {
  readonly directory: string;
  /** The peer's own. */
  readonly port: number;
  readonly program: string;
  /** Whether the bench runs as root. */
  readonly asRoot: boolean;
  readonly stub: { readonly port: number; readonly socketPath: string };
  /** The Node that runs the bench, and the wrapper for engines that a router starts. */
  readonly node: string;
  readonly routerChild: string;
}

export interface Launch {
  readonly args: readonly string[];
  /** Default: the program that was found. */
  readonly command?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Path -> text, written before the start. */
  readonly files: Readonly<Record<string, string>>;
  /** The program runs from a copy here, whose place the file `engine` takes once `path` answers. */
  readonly swapped?: { readonly copy: string; readonly engine: string; readonly path: string };
}

export type PeerName = "nginx" | "llama-server-router" | "llama-swap" | "olla" | "portkey" | "litellm";

export function nginxConfig({ directory, port, stub, asRoot }: Place): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `  ${kind}_temp_path ${directory}/${kind};`,
  );
  return [
    "daemon off;",
    // Its worker would change to a user who may not open the stub's socket.
    ...(asRoot ? ["user root;"] : []),
    "worker_processes 1;",
    `pid ${directory}/nginx.pid;`,
    `error_log ${directory}/error.log warn;`,
    "events { worker_connections 4096; }",
    "http {",
    "  access_log off;",
    ...temporary,
    `  upstream stub { server unix:${stub.socketPath}; keepalive 128; keepalive_requests 1000000000; }`,
    "  server {",
    `    listen 127.0.0.1:${port};`,
    "    keepalive_requests 1000000000;",
    '    location / { proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }',
    "  }",
    "}",
    "",
  ].join("\n");
}

export const llamaSwapConfig = ({ stub }: Place): string =>
  [
    "logLevel: error",
    "models:",
    '  "stub":',
    // The stub is up already; llama-swap must have something to supervise.
    "    cmd: sleep 1000000",
    `    proxy: http://127.0.0.1:${stub.port}`,
    "    checkEndpoint: none",
    "    concurrencyLimit: 1024",
    "",
  ].join("\n");

export const ollaConfig = ({ port, stub }: Place): string =>
  [
    "server:",
    "  host: 127.0.0.1",
    `  port: ${port}`,
    "  request_logging: false",
    "  rate_limits:",
    ...["global", "per_ip", "health"].map((kind) => `    ${kind}_requests_per_minute: 0`),
    "proxy:",
    "  engine: olla",
    "  profile: auto",
    "discovery:",
    "  type: static",
    "  static:",
    "    endpoints:",
    `      - url: http://127.0.0.1:${stub.port}`,
    "        name: stub",
    "        type: openai-compatible",
    "        priority: 100",
    "        model_url: /v1/models",
    "        health_check_url: /health",
    "        check_interval: 5s",
    "        check_timeout: 2s",
    "logging:",
    "  level: error",
    "  format: json",
    "",
  ].join("\n");

export const liteLlmConfig = ({ stub }: Place): string =>
  [
    "model_list:",
    "  - model_name: stub",
    `    litellm_params: { model: openai/stub, api_base: "http://127.0.0.1:${stub.port}/v1", api_key: none }`,
    "litellm_settings: { telemetry: false, set_verbose: false }",
    "",
  ].join("\n");

export const routerPreset = ({ directory }: Place): string => `version = 1\n\n[stub]\nmodel = ${directory}/stub.gguf\n`;

export function launchOf(peer: PeerName, place: Place): Launch {
  const { directory, port } = place;
  const file = (name: string): string => `${directory}/${name}`;
  switch (peer) {
    case "nginx":
      return {
        args: ["-e", file("error.log"), "-p", directory, "-c", file("nginx.conf")],
        files: { [file("nginx.conf")]: nginxConfig(place) },
      };
    case "llama-swap":
      return {
        args: ["-config", file("config.yaml"), "-listen", `127.0.0.1:${port}`],
        files: { [file("config.yaml")]: llamaSwapConfig(place) },
      };
    case "olla":
      return { args: ["--config", file("config.yaml")], files: { [file("config.yaml")]: ollaConfig(place) } };
    case "portkey":
      return {
        command: place.node,
        args: [place.program, `--port=${port}`, "--headless"],
        env: { NODE_ENV: "production" },
        files: {},
      };
    case "litellm":
      return {
        args: ["--config", file("config.yaml"), "--host", "127.0.0.1", "--port", String(port), "--num_workers", "1"],
        // Its list of prices comes from the network otherwise; without a key it checks none.
        env: {
          LITELLM_LOCAL_MODEL_COST_MAP: "True",
          LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: "true",
          LITELLM_LOG: "ERROR",
          LITELLM_TELEMETRY: "False",
        },
        files: { [file("config.yaml")]: liteLlmConfig(place) },
      };
    case "llama-server-router":
      return {
        args: [
          "--host",
          "127.0.0.1",
          "--port",
          String(port),
          "--models-preset",
          file("models.ini"),
          "--models-max",
          "1",
          "--offline",
          "--log-verbosity",
          "1",
        ],
        files: {
          [file("models.ini")]: routerPreset(place),
          [file("stub.gguf")]: "GGUF",
          [file("engine")]: `#!/bin/sh\nexec "${place.node}" "${place.routerChild}" "$@"\n`,
        },
        // The copy has its libraries beside the original.
        env: { LD_LIBRARY_PATH: dirname(place.program) },
        // A router starts its own program file again for each model; there is no option for another one.
        swapped: { copy: file("llama-server"), engine: file("engine"), path: "/health" },
      };
  }
}

/** Where a chat request goes, with the headers that the peer needs. */
export function requestOf(
  peer: string,
  stubPort: number,
): { readonly path: string; readonly headers: Readonly<Record<string, string>> } {
  const path = peer === "olla" ? "/olla/openai/v1/chat/completions" : "/v1/chat/completions";
  const portkey = { "x-portkey-provider": "openai", "x-portkey-custom-host": `http://127.0.0.1:${stubPort}/v1` };
  return { path, headers: peer === "portkey" ? portkey : {} };
}
