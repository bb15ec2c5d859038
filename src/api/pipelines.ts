/** Routes of pipelines, as client and gateway share them. */
export const pipelineRoutes = {
  pipelines: "/pipelines",
  input: (name: string): string => `/pipelines/${encodeURIComponent(name)}/input`,
} as const;

/** What is shown of a pipeline. */
export interface PipelineView {
  readonly name: string;
  readonly description: string;
  /** Answers at the root of the pipelines' own listener. */
  readonly default: boolean;
  readonly state: "ready" | "invalid";
  /** What was found when its stages were joined, as lines. */
  readonly report: string;
  readonly stages: readonly { readonly name: string; readonly accepts: string; readonly emits: string }[];
  /** The file it is described in. */
  readonly file: string;
}

/** One frame of an answer. */
export interface PipelineFrame {
  readonly type: string;
  readonly chunk: unknown;
}
