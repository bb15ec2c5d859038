import { createHash } from "node:crypto";
import { status as codes, type ServiceError } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { chatBody, grpcClient, startNode } from "../support/nodes.ts";

const section = (name: string, more: string): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(name).digest("hex")}"\n${more}\n`;

const refusal = async (call: Promise<unknown>): Promise<[number, unknown]> => {
  const error = (await call.then(
    () => null,
    (thrown) => thrown,
  )) as ServiceError | null;
  return [error?.code ?? codes.OK, error?.metadata?.get("x-assistant-code")[0]];
};

test("a key's scopes, models and limits hold over gRPC as over HTTP", async () => {
  const server =
    section("anna", 'models = ["river"]\nrequests_per_minute = 2') +
    section("prometheus", 'scopes = ["metrics", "admin"]');
  await using node = await startNode({ models: { river: "", lake: "" }, server });
  using caller = await grpcClient(node.grpc);
  const info = await caller.info("anna");
  expect([info.models, info.modelDetails.map(({ name }) => name)]).toEqual([["river"], ["river"]]);
  const chat = (model: string) => ({
    path: "/v1/chat/completions",
    method: "POST",
    body: Buffer.from(chatBody(model)),
    headers: {},
  });
  expect(await refusal(caller.forward(chat("lake"), { key: "anna" }))).toEqual([
    codes.PERMISSION_DENIED,
    "insufficient_scope",
  ]);
  expect((await caller.forward(chat("river"), { key: "anna" })).status).toBe(200);
  expect(await refusal(caller.forward(chat("river"), { key: "anna" }))).toEqual([
    codes.RESOURCE_EXHAUSTED,
    "rate_limit_exceeded",
  ]);

  expect(await refusal(caller.info("prometheus"))).toEqual([codes.PERMISSION_DENIED, "insufficient_scope"]);
  expect(await refusal(caller.forward(chat("river"), { key: "prometheus" }))).toEqual([
    codes.PERMISSION_DENIED,
    "insufficient_scope",
  ]);
  // What these scopes open is not to be reached this way, whoever asks.
  for (const path of ["/metrics", "/admin/status", "/v1/../metrics"]) {
    expect((await refusal(caller.forward({ path, method: "GET" }, { key: "prometheus" })))[0]).toBe(
      codes.PERMISSION_DENIED,
    );
  }
});
