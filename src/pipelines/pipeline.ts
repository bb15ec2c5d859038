import type { PipelineView } from "../api/pipelines.ts";
import { AssistantError, toAssistantError } from "../core/errors.ts";
import type { PipelineSpec } from "../core/pipeline.ts";
import { checkStages, type PipelineReport } from "./check.ts";
import type { ReadVariable } from "./secrets.ts";
import type { NamedStage } from "./stage.ts";
import { makeStage } from "./stages/index.ts";

/** A pipeline whose stages are created. */
export interface BuiltPipeline {
  readonly spec: PipelineSpec;
  /** Empty where the report says why it cannot be used. */
  readonly stages: readonly NamedStage[];
  readonly report: PipelineReport;
}

/** Makes the stages of a pipeline and checks that they fit together. Never rejects: the report says what is wrong. */
export async function buildPipeline(spec: PipelineSpec, read: ReadVariable): Promise<BuiltPipeline> {
  const made = await Promise.allSettled(spec.stages.map((stage) => makeStage(stage, read)));
  const stages = made.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const index = made.findIndex(({ status }) => status === "rejected");
  const failed = made[index];
  const failure =
    failed?.status === "rejected" ? `${spec.stages[index]?.name}: ${toAssistantError(failed.reason).message}` : null;
  const report = checkStages(stages, failure);
  if (report.valid) return { spec, stages, report };
  await Promise.allSettled(stages.map((stage) => stage.close?.()));
  return { spec, stages: [], report };
}

/** Calls a method of every stage. Rejects with the first one that fails, naming it. */
export async function askStages(
  { spec, stages, report }: BuiltPipeline,
  method: "startup" | "heartbeat" | "close",
): Promise<void> {
  if (!report.valid) throw invalidPipeline(spec, report);
  await Promise.all(
    stages.map(async (stage) => {
      try {
        await stage[method]?.();
      } catch (error) {
        const { message } = toAssistantError(error);
        throw new AssistantError("stage_failed", `The stage "${stage.name}" of "${spec.name}" failed: ${message}`, {
          param: stage.name,
          cause: error,
        });
      }
    }),
  );
}

export const invalidPipeline = ({ name, file }: PipelineSpec, { text }: PipelineReport): AssistantError =>
  new AssistantError("pipeline_invalid", `The pipeline "${name}" cannot be used.\n${text}`, {
    remedy: `Correct ${file}; \`assistant pipeline check ${name}\` checks it again.`,
  });

export const pipelineView = ({ spec, stages, report }: BuiltPipeline): PipelineView => ({
  name: spec.name,
  description: spec.description,
  default: spec.isDefault,
  state: report.valid ? "ready" : "invalid",
  report: report.text,
  stages: stages.map(({ name, accepts, emits }) => ({ name, accepts, emits })),
  file: spec.file,
});
