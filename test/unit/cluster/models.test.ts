import { expect, test } from "vitest";
import type { InfoResponse, ModelInfo } from "../../../src/api/assistant-service.ts";
import { remoteModels } from "../../../src/cluster/models.ts";

const detail = (name: string, changes: Partial<ModelInfo> = {}): ModelInfo => ({
  name,
  aliases: [],
  kind: "chat",
  contextTokens: 8192,
  slots: 2,
  inFlight: 0,
  queued: 0,
  capabilities: "",
  loaded: true,
  ...changes,
});
const info = (...details: ModelInfo[]): InfoResponse => ({
  version: "1.0.0",
  nodeId: "n",
  endpoints: [],
  models: details.map(({ name }) => name),
  modelDetails: details,
});

test("a model of two machines is one model with two owners", () => {
  const models = remoteModels(
    [
      { name: "b", info: info(detail("river", { aliases: ["stream"] })) },
      { name: "c", info: info(detail("river"), detail("vectors", { kind: "embedding" })) },
      { name: "away", info: null },
    ],
    new Set(),
  );
  expect(models.map(({ name, kind, nodes, aliases }) => ({ name, kind, nodes, aliases }))).toEqual([
    { name: "river", kind: "chat", nodes: ["b", "c"], aliases: ["stream"] },
    { name: "vectors", kind: "embedding", nodes: ["c"], aliases: [] },
  ]);
  expect(models[0]?.load).toMatchObject({ contextTokens: 8192, slots: 2 });
});

test("this machine's own names come first", () => {
  const models = remoteModels(
    [{ name: "b", info: info(detail("river"), detail("lake", { aliases: ["default", "pond"] })) }],
    new Set(["river", "default"]),
  );
  expect(models.map(({ name, aliases }) => [name, aliases])).toEqual([["lake", ["pond"]]]);
});

test("a server that tells names alone is used with what the names say", () => {
  const bare: InfoResponse = {
    version: "0.1",
    nodeId: "",
    endpoints: [],
    models: ["llama", "nomic-embed-text"],
    modelDetails: [],
  };
  expect(remoteModels([{ name: "b", info: bare }], new Set()).map(({ name, kind }) => [name, kind])).toEqual([
    ["llama", "chat"],
    ["nomic-embed-text", "embedding"],
  ]);
});
