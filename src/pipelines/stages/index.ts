import type { StageKind, StageSettings } from "../../config/schema/stages.ts";
import type { StageSpec } from "../../core/pipeline.ts";
import type { ReadVariable } from "../secrets.ts";
import type { NamedStage, Stage } from "../stage.ts";
import { difyStage } from "./dify.ts";
import { gptSovitsStage } from "./gpt-sovits.ts";
import { httpStage } from "./http.ts";
import { jsonStage } from "./json.ts";
import { modelStage } from "./model.ts";
import { moduleStage } from "./module.ts";
import { openccStage } from "./opencc.ts";
import { rabbitmqStage } from "./rabbitmq.ts";
import { redisStage } from "./redis.ts";
import { speechStage } from "./speech.ts";
import { splitterStage } from "./splitter.ts";
import { sqlStage } from "./sql.ts";
import { transcriptionStage } from "./transcription.ts";

type Maker<Kind extends StageKind> = (settings: StageSettings[Kind], read: ReadVariable) => Stage | Promise<Stage>;

const makers: { readonly [Kind in StageKind]: Maker<Kind> } = {
  model: modelStage,
  splitter: splitterStage,
  opencc: openccStage,
  http: httpStage,
  dify: difyStage,
  "gpt-sovits": gptSovitsStage,
  speech: speechStage,
  transcription: transcriptionStage,
  json: jsonStage,
  rabbitmq: rabbitmqStage,
  redis: redisStage,
  sql: sqlStage,
};

/** Makes a stage as its file describes it. Rejects with why that cannot be. */
export async function makeStage(
  { use, name, section, toClient, settings }: StageSpec,
  read: ReadVariable,
): Promise<NamedStage> {
  const make = Object.hasOwn(makers, use)
    ? (makers[use as StageKind] as (given: unknown, read: ReadVariable) => Stage | Promise<Stage>)
    : null;
  const stage = await (make === null ? moduleStage(use, settings) : make(settings, read));
  return named(stage, { name, section, toClient });
}

/** The stage with what its pipeline calls it; `run` and its like stay methods of the stage, which may be of a class. */
const named = (stage: Stage, more: Pick<NamedStage, "name" | "section" | "toClient">): NamedStage => ({
  ...more,
  accepts: stage.accepts,
  emits: stage.emits,
  asksModel: stage.asksModel === true,
  isSink: stage.isSink === true,
  ...(stage.conversations === undefined ? {} : { conversations: stage.conversations }),
  run: (input, context) => stage.run(input, context),
  startup: async () => await stage.startup?.(),
  heartbeat: async () => await stage.heartbeat?.(),
  close: async () => await stage.close?.(),
});
