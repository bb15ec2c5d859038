import type { Static } from "typebox";
import { openCcConfigs } from "../../core/opencc.ts";
import { Type } from "../../core/schema.ts";
import { choice, decimal, flag, freeTable, integer, requiredText, text, variableName } from "./kit.ts";
import { commonStageKeys } from "./pipelines.ts";

const stage = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object({ ...commonStageKeys, ...properties }, { additionalProperties: false });

const anyTable = (description: string) =>
  Type.Optional(Type.Unsafe<Record<string, unknown>>({ type: "object", description }));
const valueType = (description: string) =>
  text(description, { pattern: "^[a-z][a-z0-9_./+-]{0,63}$", patternText: 'a type such as "text", "audio" or "json"' });
const httpUrl = (description: string) =>
  requiredText(description, {
    pattern: "^https?://[^\\s/?#@]+([/?#]\\S*)?$",
    patternText: "an http or https URL, without user and password, which belong into headers",
    secret: true,
  });
const timeout = decimal("Maximum time without data from the service.", {
  exclusiveMinimum: 0,
  maximum: 3600,
  default: 120,
  unit: "s",
});
const texts = (description: string) => freeTable(Type.String(), description, { pattern: "^.+$", keysText: "a name" });

/** Keys of a message queue or database that stages and sources share. */
const rabbitmq = {
  url: text("Address of the broker, `amqp://host`. Default: amqp://127.0.0.1.", {
    pattern: "^amqps?://\\S+$",
    patternText: "an address that begins with amqp:// or amqps://",
    secret: true,
  }),
  url_env: variableName("Environment variable of the daemon that holds the URL with its password, instead of `url`."),
};
const redis = {
  url: text("Address of the server, `redis://host:6379/0`. Default: redis://127.0.0.1:6379.", {
    pattern: "^rediss?://\\S+$",
    patternText: "an address that begins with redis:// or rediss://",
    secret: true,
  }),
  url_env: variableName("Environment variable of the daemon that holds the URL with its password, instead of `url`."),
  list: text("Name of a list."),
  stream: text("Name of a stream."),
  channel: text("Name of a channel."),
};

const sql = {
  database: requiredText("Path of an SQLite database; relative to this file.", {
    pattern: "^(?![A-Za-z][A-Za-z0-9+.-]*:).+$",
    patternText: "the path of an SQLite database (other databases are not supported)",
    secret: true,
  }),
  timeout_s: decimal("Maximum duration of a statement.", {
    exclusiveMinimum: 0,
    maximum: 3600,
    default: 10,
    unit: "s",
  }),
};

/** What the stages of each kind take. */
export const stageSchemas = {
  model: stage({
    model: requiredText("Name or alias of a chat model of this daemon.", { minLength: 1 }),
    system: text("System prompt."),
    split: flag("Pass the answer on sentence by sentence; false: as it is generated.", { default: true }),
    options: anyTable("Additional fields of the chat request, such as `temperature`."),
  }),
  splitter: stage({
    marks: text("Characters that end a sentence.", { minLength: 1 }),
    soft_marks: text("Characters that end a sentence of at least `soft_length`."),
    soft_length: integer("Minimum length, in characters, at which `soft_marks` end a sentence.", {
      minimum: 1,
      maximum: 10_000,
      default: 10,
    }),
  }),
  opencc: stage({ config: Type.Enum([...openCcConfigs], { required: true, description: "Direction." }) }),
  http: stage({
    url: httpUrl("URL that each value is sent to."),
    method: choice(["GET", "POST", "PUT"], "HTTP method.", { default: "POST" }),
    headers: texts("Headers."),
    headers_env: texts("Headers whose values are read from environment variables of the daemon: header = VARIABLE."),
    body: anyTable(
      "JSON body; `{{input}}`, `{{request.user}}` and `{{options.…}}` are replaced. Default: the value itself.",
    ),
    answer: choice(
      ["json", "text", "bytes", "sse", "ndjson"],
      "Format of the response; `sse` and `ndjson` are read value by value.",
      { default: "json" },
    ),
    pick: text("Path of the part to pass on within each JSON value, such as `data.choices[0].text`."),
    accepts: valueType("Type of the input values. Default: text."),
    emits: valueType("Type of the output values. Default: that of `answer`."),
    timeout_s: timeout,
  }),
  dify: stage({
    url: httpUrl("URL of Dify's API, including the version: https://api.dify.ai/v1."),
    api_key_env: variableName("Environment variable of the daemon that holds the application's API key."),
    inputs: anyTable("Variables of the application."),
    split: flag("Pass the answer on sentence by sentence; false: as it is generated.", { default: true }),
    timeout_s: timeout,
  }),
  "gpt-sovits": stage({
    url: httpUrl("URL of its API (api_v2.py), such as http://127.0.0.1:9880."),
    text_lang: text("Language of the text.", { default: "zh" }),
    ref_audio: text("Path, on the service's machine, of the reference recording."),
    ref_text: text("Transcript of the reference recording."),
    ref_lang: text("Language of the reference recording.", { default: "zh" }),
    voices: freeTable(
      Type.Record(
        Type.String({ pattern: "^.+$" }),
        Type.Object(
          {
            ref_audio: requiredText("Path of the recording."),
            ref_text: text("Transcript of the reference recording."),
          },
          { additionalProperties: false },
        ),
        { keysText: "the name of an emotion" },
      ),
      "Reference recordings by voice and emotion, selected by a request's options.",
      { pattern: "^.+$", keysText: "the name of a voice" },
    ),
    timeout_s: timeout,
  }),
  speech: stage({
    model: requiredText("Name or alias of a speech model of this daemon.", { minLength: 1 }),
    voice: text("Voice. A request's options may set another `voice`."),
    speed: decimal("Speed; 1: the voice's normal speed.", { minimum: 0.25, maximum: 4 }),
  }),
  transcription: stage({
    model: requiredText("Name or alias of a transcription model of this daemon.", { minLength: 1 }),
    language: text("Language of the recordings, such as `en`."),
  }),
  json: stage({
    pick: text("Path of the part to extract from the value, such as `items[0].title`."),
    template: Type.Optional(
      Type.Unsafe<unknown>({
        anyOf: [{ type: "string" }, { type: "object" }, { type: "array" }],
        description:
          "Template of the output; `{{input}}`, `{{input.title}}`, `{{request.user}}` and `{{options.…}}` are " +
          "replaced.",
      }),
    ),
    parse: flag("Parse text values as JSON first.", { default: false }),
    accepts: valueType("Type of the input values. Default: text."),
    emits: valueType("Type of the output values. Default: json, or text if the template is a string."),
  }),
  rabbitmq: stage({
    ...rabbitmq,
    exchange: text('Exchange that each value is published to. Default: the default exchange, `""`.'),
    routing_key: requiredText("Routing key; for the default exchange, the name of a queue.", { minLength: 1 }),
    type: valueType("Type of the values, which are also passed on. Default: text."),
  }),
  redis: stage({ ...redis, type: valueType("Type of the values, which are also passed on. Default: text.") }),
  sql: stage({
    ...sql,
    statement: requiredText(
      "Statement to run for each value, with the parameters `:value`, `:user` and `:request_id`.",
      { minLength: 1 },
    ),
    type: valueType("Type of the values, which are also passed on. Default: text."),
  }),
} as const;

export type StageKind = keyof typeof stageSchemas;
export type StageSettings = { readonly [Kind in StageKind]: Static<(typeof stageSchemas)[Kind]> };

const source = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(
    {
      use: requiredText("The kind of source."),
      concurrency: integer("Messages processed at once.", { minimum: 1, maximum: 1000, default: 1 }),
      ...properties,
    },
    { additionalProperties: false },
  );

/** What the sources of each kind take. */
export const sourceSchemas = {
  rabbitmq: source({
    ...rabbitmq,
    queue: requiredText("Queue to consume, which is created if it does not exist.", { minLength: 1 }),
    durable: flag("Whether the queue survives a restart of the broker.", { default: true }),
  }),
  redis: source({
    ...redis,
    group: text("Consumer group of the stream.", { default: "assistant" }),
  }),
  sql: source({
    ...sql,
    query: requiredText("Query for the next rows, whose columns become fields of the request, such as `text`.", {
      minLength: 1,
    }),
    done: requiredText("Statement to run for each answered row, with the row's columns as `:column`, and `:answer`.", {
      minLength: 1,
    }),
    failed: text(
      "Statement to run for each row that can never be answered, also with `:error`. Default: the row is retried.",
    ),
    poll_s: decimal("Polling interval while there are no rows.", {
      minimum: 0.05,
      maximum: 3600,
      default: 1,
      unit: "s",
    }),
  }),
} as const;
type SourceKind = keyof typeof sourceSchemas;
export type SourceSettings = { readonly [Kind in SourceKind]: Static<(typeof sourceSchemas)[Kind]> };
