import type { PipelineView } from "../../../src/api/pipelines.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { askStages, buildPipeline, pipelineView } from "../../../src/pipelines/pipeline.ts";
import type { CommandContext } from "../cli/context.ts";
import { type CheckedPipelines, problemsOf } from "./problems.ts";

/** Creates the stages of one pipeline, or of all, from the current files. No service is called. */
export async function checkPipelines({ env, paths }: CommandContext, name: string | null): Promise<CheckedPipelines> {
  const config = await loadConfig({ env, configFile: paths.configFile });
  const found = config.pipelines.filter((spec) => name === null || spec.name === name);
  const problems = problemsOf(config.notices, paths, name);
  if (name !== null && found.length === 0 && problems.length === 0) {
    const near = nearestNames(
      name,
      config.pipelines.map((spec) => spec.name),
    );
    throw new AssistantError("pipeline_not_found", `${paths.pipelinesDir} has no ${name}.toml.`, {
      remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant pipeline check` checks all of them.",
    });
  }
  const pipelines: PipelineView[] = [];
  for (const spec of found) {
    const built = await buildPipeline(spec, (variable) => env[variable]);
    pipelines.push(pipelineView(built));
    if (built.report.valid) await askStages(built, "close");
  }
  return { pipelines, problems };
}
