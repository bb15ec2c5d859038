import { expect, it } from "vitest";
import { noticeLines, site } from "./support.ts";

const settingsOf = async (env: Record<string, string>, toml = "") => {
  await using at = await site({ "config.toml": toml });
  const config = await at.load({ env });
  return { ...config.telemetry, notices: noticeLines(config, at) };
};
const FILE = '[telemetry]\notlp_endpoint = "http://file:4318/"\nservice_name = "mine"\nsample_ratio = 0.5\n';

it("nothing is traced unless there is somewhere to send it", async () => {
  expect(await settingsOf({})).toMatchObject({ otlp: null, langfuse: null, recordsContent: false, notices: [] });
});

it("the standard variables win over the file", async () => {
  expect(await settingsOf({}, FILE)).toMatchObject({
    otlp: { url: "http://file:4318/v1/traces", headers: {} },
    serviceName: "mine",
    sampling: { root: "traceidratio", ratio: 0.5, followsParent: true },
  });
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector/base",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20a, x-team = b",
    OTEL_SERVICE_NAME: "other",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
    OTEL_TRACES_SAMPLER: "traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
  };
  expect(await settingsOf(env, FILE)).toMatchObject({
    otlp: { url: "https://collector/base/v1/traces", headers: { authorization: "Bearer a", "x-team": "b" } },
    serviceName: "other",
    resource: { "deployment.environment": "test" },
    sampling: { root: "traceidratio", ratio: 0.25, followsParent: false },
    notices: [],
  });
});

it("the endpoint for traces is the whole URL", async () => {
  const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector/t", OTEL_EXPORTER_OTLP_ENDPOINT: "http://other" };
  expect((await settingsOf(env)).otlp?.url).toBe("http://collector/t");
});

it("what is disabled sends nothing, Langfuse among it", async () => {
  const env = { LANGFUSE_PUBLIC_KEY: "pk", LANGFUSE_SECRET_KEY: "sk", LANGFUSE_HOST: "http://langfuse:3000/" };
  expect((await settingsOf(env)).langfuse).toEqual({
    baseUrl: "http://langfuse:3000",
    publicKey: "pk",
    secretKey: "sk",
  });
  expect(await settingsOf({ ...env, OTEL_SDK_DISABLED: "TRUE" }, FILE)).toMatchObject({ otlp: null, langfuse: null });
  expect((await settingsOf({ ...env, LANGFUSE_ENABLED: "false" })).langfuse).toBeNull();
  expect((await settingsOf({ OTEL_TRACES_EXPORTER: "none" }, FILE)).otlp).toBeNull();
});

it.each([
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4317" }, "expected an http or https URL"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, 'expected "http/json"'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_HEADERS: "s3cret" }, "expected name=value"],
  [{ OTEL_TRACES_SAMPLER: "sometimes" }, "expected one of always_on"],
  [{ OTEL_BSP_SCHEDULE_DELAY: "soon" }, "expected a number"],
  [{ LANGFUSE_PUBLIC_KEY: "pk" }, "LANGFUSE_SECRET_KEY"],
  [{ LANGFUSE_PUBLIC_KEY: "pk", LANGFUSE_SECRET_KEY: "s3cret", LANGFUSE_HOST: "nowhere" }, "expected an http or https"],
])("%j is warned of, and the daemon serves without", async (env, expected) => {
  const { notices } = await settingsOf(env as Record<string, string>);
  expect(notices.join("\n")).toContain(expected);
  expect(notices.join("\n")).not.toContain("s3cret");
});
