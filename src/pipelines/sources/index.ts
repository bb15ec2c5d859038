import type { SourceSettings } from "../../config/schema/stages.ts";
import type { PipelineSourceSpec } from "../../core/pipeline.ts";
import type { Source, SourcePorts } from "./source.ts";

/** Opens the source of a pipeline. The libraries are loaded with the first source that needs them. */
export async function openSource({ use, settings }: PipelineSourceSpec, ports: SourcePorts): Promise<Source> {
  switch (use) {
    case "rabbitmq":
      return (await import("./rabbitmq.ts")).rabbitmqSource(settings as SourceSettings["rabbitmq"], ports);
    case "redis":
      return (await import("./redis.ts")).redisSource(settings as SourceSettings["redis"], ports);
    case "sql":
      return (await import("./sql.ts")).sqlSource(settings as SourceSettings["sql"], ports);
  }
}
