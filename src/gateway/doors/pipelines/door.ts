import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AssistantError } from "../../../core/errors.ts";
import type { JsonSchema } from "../../../core/schema.ts";
import { mayUse, requireModel } from "../../../inference/resolve.ts";
import { askStages, type BuiltPipeline } from "../../../pipelines/pipeline.ts";
import type { Pipelines } from "../../../pipelines/pipelines.ts";
import { inputCall, pipelineRequestOf, pipelineRequestSchema } from "../../../pipelines/request.ts";
import { END_FRAME } from "../../../pipelines/writers.ts";
import { checkContentType, parseBody } from "../../canonical/decode.ts";
import type { Authorizer } from "../../front/authorize.ts";
import type { RouteDescription } from "../../front/describe.ts";
import type { Door, InferenceRoute } from "../../front/door.ts";
import { bearerDoor, errorBody } from "../../front/error-body.ts";
import { parametersOf } from "../../front/target.ts";
import { registerExtras } from "./extras.ts";

export interface PipelineDoorOptions {
  readonly pipelines: Pipelines;
  readonly authorizer: Pick<Authorizer, "admit">;
}

/** `name` null: the pipeline marked `default`. */
type NameOf = (parameters: Readonly<Record<string, string>>) => string | null;

/** Pipelines by their names, under `/pipelines`. */
export const pipelinesDoor = (options: PipelineDoorOptions): Door => ({
  ...common,
  name: "pipelines",
  inference: [inputRoute(options.pipelines, "/pipelines/:name/input", ({ name = "" }) => name)],
  register(app) {
    app.get("/pipelines", { config: { describe: described.list } }, ({ identity: { caller } }) => ({
      pipelines: options.pipelines.list().filter(({ name }) => mayUse(caller, { name, aliases: [] })),
    }));
    registerReads(app, options, "/pipelines/:name", ({ name = "" }) => name);
  },
});

/** The pipeline marked `default`, at the root of a separate listener. */
export const defaultPipelineDoor = (options: PipelineDoorOptions): Door => ({
  ...common,
  name: "pipeline",
  inference: [inputRoute(options.pipelines, "/input", () => null)],
  register(app) {
    app.get("/", { config: { describe: described.hello } }, () => HELLO);
    registerReads(app, options, "", () => null);
  },
});

const HELLO = { message: "Hello World" };

/** FastAPI's error format, which the clients of this API expect, with our additional fields. */
const pipelineError = (error: AssistantError, requestId: string): object => ({
  detail: error.message,
  ...errorBody(error, requestId),
});
const frame = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;

const ERROR: JsonSchema = {
  title: "PipelineError",
  type: "object",
  required: ["detail", "error"],
  properties: { detail: { type: "string" }, error: { type: "object" } },
};

const common: Omit<Door, "name" | "register" | "inference"> = {
  ...bearerDoor,
  errorBody: pipelineError,
  errorSchema: ERROR,
  // Clients that read to the end should not have to wait.
  errorEvent: (error) => Buffer.from(frame({ type: "error", chunk: error.message }) + frame(END_FRAME)),
};

const inputRoute = (pipelines: Pipelines, path: string, nameOf: NameOf): InferenceRoute => ({
  path,
  name: "/pipelines/input",
  operation: "infer",
  wire: "pipeline.input",
  describe: described.input,
  checkHeaders: checkContentType,
  decode: (bytes, _, target) => {
    const { spec } = pipelines.find(nameOf(parametersOf(path, target)));
    return { model: spec.name, ...inputCall(pipelineRequestOf(parseBody(bytes).json)) };
  },
});

function registerReads(app: FastifyInstance, options: PipelineDoorOptions, base: string, nameOf: NameOf): void {
  const find = ({ params, identity }: FastifyRequest): BuiltPipeline => {
    const found = options.pipelines.find(nameOf(params as Record<string, string>));
    requireModel(identity.caller, { name: found.spec.name, aliases: [] });
    return found;
  };
  app.get(`${base}/schema`, { config: { describe: described.schema } }, (request) => {
    find(request);
    return pipelineRequestSchema;
  });
  app.get(`${base}/heartbeat`, { config: { describe: described.heartbeat } }, async (request) => {
    await askStages(find(request), "heartbeat");
    return { message: "Success" };
  });
  app.get(`${base}/startup`, { config: { describe: described.startup } }, async (request) => {
    await askStages(find(request), "startup");
    return HELLO;
  });
  registerExtras(app, base, { ...options, find });
}

const MESSAGE: JsonSchema = { type: "object", required: ["message"], properties: { message: { type: "string" } } };
const FRAME: JsonSchema = {
  type: "object",
  required: ["type", "chunk"],
  properties: { type: { type: "string" }, chunk: {} },
};

const described = {
  list: { summary: "List the pipelines", answers: { "application/json": { type: "object" } } },
  hello: { summary: "Check that the listener responds", answers: { "application/json": MESSAGE } },
  input: {
    summary: "Run a pipeline",
    body: pipelineRequestSchema,
    answers: {
      "text/event-stream": FRAME,
      "application/json": {
        type: "object",
        properties: { status: { const: "success" }, data: { type: "array", items: FRAME } },
      },
    },
  },
  schema: { summary: "JSON Schema of the body of /input", answers: { "application/json": { type: "object" } } },
  heartbeat: { summary: "Ask whether every stage can work", answers: { "application/json": MESSAGE } },
  startup: { summary: "Prepare every stage", answers: { "application/json": MESSAGE } },
} as const satisfies Readonly<Record<string, RouteDescription>>;
