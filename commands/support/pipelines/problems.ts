import type { PipelineView } from "../../../src/api/pipelines.ts";
import { noticeText } from "../../../src/config/findings.ts";
import type { ConfigNotice, Paths } from "../../../src/core/config.ts";

export interface CheckedPipelines {
  readonly pipelines: readonly PipelineView[];
  /** What is wrong with files, as editors read it. */
  readonly problems: readonly string[];
}

/** Of the configuration's notices, those about pipelines; `name`: about the file of one. */
export const problemsOf = (
  notices: readonly Omit<ConfigNotice, "severity">[],
  { pipelinesDir }: Pick<Paths, "pipelinesDir">,
  name: string | null = null,
): readonly string[] =>
  notices
    .filter(({ file }) => file.startsWith(pipelinesDir) && (name === null || file.endsWith(`/${name}.toml`)))
    .map(noticeText);
