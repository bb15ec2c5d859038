import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { environmentVariables } from "../../../src/config/environment.ts";
import { described } from "../../../src/gateway/doors/kserve/openapi.ts";

const templates = new URL("../../../templates/", import.meta.url);
const known = environmentVariables.flatMap(({ name }) => name.split(", "));
const textOf = (file: string): Promise<string> => readFile(new URL(file, templates), "utf8");

/** The documents of a YAML file that has no mistakes and no key twice. */
async function documentsOf(file: string): Promise<unknown[]> {
  const documents = parseAllDocuments(await textOf(file), { uniqueKeys: true });
  if (!Array.isArray(documents)) throw new Error(`${file} is empty`);
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  return documents.map((document) => document.toJS() as unknown);
}

test.each(["docker/Dockerfile", "docker/docker-compose.yml", "kubernetes/assistant.yaml"])(
  "%s sets variables that are read",
  async (file) => {
    const named = new Set((await textOf(file)).match(/\bASSISTANT_[A-Z_]+/g));
    expect([...named].filter((name) => !known.includes(name as (typeof known)[number]))).toEqual([]);
    expect(named.size).toBeGreaterThan(0);
  },
);

test("the Compose file starts a Redis that loses nothing, and daemons that use it", async () => {
  const [file] = (await documentsOf("docker/docker-compose.yml")) as [ComposeFile];
  const { redis, assistant } = file.services;
  expect(redis.command.join(" ")).toContain("--appendfsync always");
  expect(assistant.environment["ASSISTANT_CLUSTER_URL"]).toBe("redis://redis:6379/0");
  expect(Object.keys(assistant.depends_on)).toEqual(["redis"]);
});

interface ComposeFile {
  readonly services: {
    readonly redis: { readonly command: readonly string[] };
    readonly assistant: {
      readonly environment: Readonly<Record<string, string>>;
      readonly depends_on: Readonly<Record<string, unknown>>;
    };
  };
}

test("the Kubernetes manifests agree with each other and ask for paths that are served", async () => {
  const [service, set] = (await documentsOf("kubernetes/assistant.yaml")) as [Manifest, Manifest];
  expect([service.kind, set.kind]).toEqual(["Service", "StatefulSet"]);
  expect(set.spec.serviceName).toBe(service.metadata.name);
  expect(set.spec.selector).toEqual({ matchLabels: service.spec.selector });
  expect(set.spec.template?.metadata.labels).toEqual(service.spec.selector);
  const [container] = set.spec.template?.spec.containers ?? [];
  const served = Object.keys(described);
  for (const probe of [container?.readinessProbe, container?.livenessProbe])
    expect(served).toContain(`GET ${probe?.httpGet.path}`);
  const claims = set.spec.volumeClaimTemplates?.map(({ metadata: { name } }) => name);
  expect(container?.volumeMounts.map(({ name }) => name)).toEqual(claims);
});

interface Probe {
  readonly httpGet: { readonly path: string };
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector: unknown;
    readonly serviceName?: string;
    readonly template?: {
      readonly metadata: { readonly labels: unknown };
      readonly spec: {
        readonly containers: readonly {
          readonly readinessProbe: Probe;
          readonly livenessProbe: Probe;
          readonly volumeMounts: readonly { readonly name: string }[];
        }[];
      };
    };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}
