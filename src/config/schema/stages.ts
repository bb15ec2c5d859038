import type { Static } from "typebox";
import { openCcConfigs } from "../../core/opencc.ts";
import { Type } from "../../core/schema.ts";
import { choice, decimal, flag, freeTable, integer, requiredText, text } from "./kit.ts";
import { commonStageKeys } from "./pipelines.ts";

const stage = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object({ ...commonStageKeys, ...properties }, { additionalProperties: false });

const anyTable = (description: string) =>
  Type.Optional(Type.Unsafe<Record<string, unknown>>({ type: "object", description }));
const variable = (description: string) =>
  text(description, { pattern: "^[A-Za-z_][A-Za-z0-9_]*$", patternText: "the name of an environment variable" });
const valueType = (description: string) =>
  text(description, { pattern: "^[a-z][a-z0-9_./+-]{0,63}$", patternText: 'a type such as "text", "audio" or "json"' });
const httpUrl = (description: string) =>
  requiredText(description, {
    pattern: "^https?://[^\\s/?#@]+([/?#]\\S*)?$",
    patternText: "an http or https URL, without user and password, which belong into headers",
    secret: true,
  });
const timeout = decimal("Longest silence of the service.", {
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
  url_env: variable("Environment variable of the daemon that holds the address with its password, instead of `url`."),
};
const redis = {
  url: text("Address of the server, `redis://host:6379/0`. Default: redis://127.0.0.1:6379.", {
    pattern: "^rediss?://\\S+$",
    patternText: "an address that begins with redis:// or rediss://",
    secret: true,
  }),
  url_env: variable("Environment variable of the daemon that holds the address with its password, instead of `url`."),
  list: text("Name of a list."),
  stream: text("Name of a stream."),
  channel: text("Name of a channel."),
};

const sql = {
  database: requiredText("Path of an SQLite database; relative to this file. Other databases are not reached.", {
    pattern: "^(?![A-Za-z][A-Za-z0-9+.-]*:).+$",
    patternText: "the path of an SQLite database, as other databases are not reached",
    secret: true,
  }),
  timeout_s: decimal("Longest time that a statement may take.", {
    exclusiveMinimum: 0,
    maximum: 3600,
    default: 10,
    unit: "s",
  }),
};

/** What the stages of each kind take. */
export const stageSchemas = {
  model: stage({
    model: requiredText("Name or alias of a model of this daemon that answers chats.", { minLength: 1 }),
    system: text("Instructions before each message."),
    split: flag("Pass the answer on sentence by sentence; false: as it comes.", { default: true }),
    options: anyTable("Further fields of the chat request, such as `temperature`."),
  }),
  splitter: stage({
    marks: text("Characters that end a sentence.", { minLength: 1 }),
    soft_marks: text("Characters that end one that is long enough."),
    soft_length: integer("From how many characters on the soft ones do.", { minimum: 1, maximum: 10_000, default: 10 }),
  }),
  opencc: stage({ config: Type.Enum([...openCcConfigs], { required: true, description: "Direction." }) }),
  http: stage({
    url: httpUrl("Where each value is sent."),
    method: choice(["GET", "POST", "PUT"], "How.", { default: "POST" }),
    headers: texts("Headers."),
    headers_env: texts("Headers whose values are in environment variables of the daemon: header = VARIABLE."),
    body: anyTable(
      "The JSON body; `{{input}}`, `{{request.user}}` and `{{options.…}}` are filled in. Default: the value itself.",
    ),
    answer: choice(
      ["json", "text", "bytes", "sse", "ndjson"],
      "What the service answers with; `sse` and `ndjson` are taken value by value.",
      {
        default: "json",
      },
    ),
    pick: text("Path of what is passed on within each JSON value, such as `data.choices[0].text`."),
    accepts: valueType("Type of the values taken. Default: text."),
    emits: valueType("Type of the values passed on. Default: that of `answer`."),
    timeout_s: timeout,
  }),
  dify: stage({
    url: httpUrl("Dify's API, with its version: https://api.dify.ai/v1."),
    api_key_env: variable("Environment variable of the daemon that holds the application's key."),
    inputs: anyTable("Variables of the application."),
    split: flag("Pass the answer on sentence by sentence; false: as it comes.", { default: true }),
    timeout_s: timeout,
  }),
  "gpt-sovits": stage({
    url: httpUrl("Its API (api_v2.py), such as http://127.0.0.1:9880."),
    text_lang: text("Language of the text.", { default: "zh" }),
    ref_audio: text("Path, on the service's machine, of the recording whose voice is used."),
    ref_text: text("What is said in it."),
    ref_lang: text("Its language.", { default: "zh" }),
    voices: freeTable(
      Type.Record(
        Type.String({ pattern: "^.+$" }),
        Type.Object(
          { ref_audio: requiredText("Path of the recording."), ref_text: text("What is said in it.") },
          { additionalProperties: false },
        ),
        { keysText: "the name of an emotion" },
      ),
      "Recordings by voice and emotion, which a request's options name.",
      { pattern: "^.+$", keysText: "the name of a voice" },
    ),
    timeout_s: timeout,
  }),
  speech: stage({
    model: requiredText("Name or alias of a model of this daemon that speaks.", { minLength: 1 }),
    voice: text("Who speaks. A request's options may name another `voice`."),
    speed: decimal("How fast; 1: as the voice does by itself.", { minimum: 0.25, maximum: 4 }),
  }),
  transcription: stage({
    model: requiredText("Name or alias of a model of this daemon that transcribes.", { minLength: 1 }),
    language: text("Language of the recordings, such as `en`."),
  }),
  json: stage({
    pick: text("Path of what is taken out of the value, such as `items[0].title`."),
    template: Type.Optional(
      Type.Unsafe<unknown>({
        anyOf: [{ type: "string" }, { type: "object" }, { type: "array" }],
        description:
          "What is made of it: `{{input}}`, `{{input.title}}`, `{{request.user}}` and `{{options.…}}` are filled in.",
      }),
    ),
    parse: flag("Read values of the type text as JSON first.", { default: false }),
    accepts: valueType("Type of the values taken. Default: text."),
    emits: valueType("Type of the values passed on. Default: json, or text where the template is a text."),
  }),
  rabbitmq: stage({
    ...rabbitmq,
    exchange: text('Exchange to which each value is published. Default: the default one, `""`.'),
    routing_key: requiredText("Routing key; of the default exchange, the name of a queue.", { minLength: 1 }),
    type: valueType("Type of the values, which are passed on too. Default: text."),
  }),
  redis: stage({ ...redis, type: valueType("Type of the values, which are passed on too. Default: text.") }),
  sql: stage({
    ...sql,
    statement: requiredText("Statement for each value, with `:value`, `:user` and `:request_id`.", { minLength: 1 }),
    type: valueType("Type of the values, which are passed on too. Default: text."),
  }),
} as const;

export type StageKind = keyof typeof stageSchemas;
export type StageSettings = { readonly [Kind in StageKind]: Static<(typeof stageSchemas)[Kind]> };

const source = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(
    {
      use: requiredText("The kind of source."),
      concurrency: integer("Messages that are worked on at once.", { minimum: 1, maximum: 1000, default: 1 }),
      ...properties,
    },
    { additionalProperties: false },
  );

/** What the sources of each kind take. */
export const sourceSchemas = {
  rabbitmq: source({
    ...rabbitmq,
    queue: requiredText("Queue whose messages are taken; it is made where it is missing.", { minLength: 1 }),
    durable: flag("Whether the queue outlives the broker.", { default: true }),
  }),
  redis: source({
    ...redis,
    group: text("Consumer group of the stream.", { default: "assistant" }),
  }),
  sql: source({
    ...sql,
    query: requiredText("Query for the next rows; its columns become fields of the request, `text` among them.", {
      minLength: 1,
    }),
    done: requiredText("Statement for each row that was answered; it has the columns as `:column`, and `:answer`.", {
      minLength: 1,
    }),
    failed: text("Statement for each row that can never be answered; it has `:error` too. Default: it is tried again."),
    poll_s: decimal("How often it is asked while there is nothing.", {
      minimum: 0.05,
      maximum: 3600,
      default: 1,
      unit: "s",
    }),
  }),
} as const;
export type SourceKind = keyof typeof sourceSchemas;
export type SourceSettings = { readonly [Kind in SourceKind]: Static<(typeof sourceSchemas)[Kind]> };
