import type { NamedStage } from "./stage.ts";

/** What was found when the stages of a pipeline were joined. */
export interface PipelineReport {
  readonly valid: boolean;
  /** The lines as they are printed. */
  readonly text: string;
}

type Described = Pick<NamedStage, "name" | "accepts" | "emits">;

/** Whether each stage passes on what the next one takes. `failure`: why a stage could not be made. */
export function checkStages(stages: readonly Described[], failure: string | null = null): PipelineReport {
  const problem = failure ?? problemOf(stages);
  const lines = [
    problem === null ? "✅ Pipeline验证通过" : `❌ 验证失败: ${problem}`,
    `当前Pipeline: ${stages.map(({ name }) => name).join(" -> ")}`,
    "类型详情:",
    ...stages.map(({ name, accepts, emits }) => `${name} (输入: ${accepts}, 输出: ${emits})`),
  ];
  return { valid: problem === null, text: lines.join("\n") };
}

function problemOf(stages: readonly Described[]): string | null {
  if (stages.length === 0) return "Pipeline不能为空";
  for (const [index, { name, emits }] of stages.entries()) {
    const next = stages[index + 1];
    if (next !== undefined && next.accepts !== emits)
      return `类型不匹配: ${name} 输出 ${emits} 但 ${next.name} 期望 ${next.accepts}`;
  }
  return null;
}
