import { createParser } from "eventsource-parser";
import { type PipelineFrame, type PipelineView, pipelineRoutes } from "../api/pipelines.ts";
import type { Paths } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import { callJson, callSocket, explain } from "./unix-http.ts";

/** Pipelines of the daemon. Every call rejects with an AssistantError. */
export interface PipelineClient {
  list(): Promise<{ readonly pipelines: readonly PipelineView[] }>;
  /** The frames of an answer, without `end`. `body`: that of `POST /pipelines/NAME/input`. Throws `stage_failed`. */
  run(name: string, body: object, signal: AbortSignal): AsyncGenerator<PipelineFrame>;
}

const SILENCE_MS = 10_000;

export function pipelineClient({ adminSocket: socketPath }: Pick<Paths, "adminSocket">): PipelineClient {
  return {
    list: () => callJson({ socketPath, method: "GET", path: pipelineRoutes.pipelines, silenceMs: SILENCE_MS }),
    run: (name, body, signal) => run(socketPath, name, body, signal),
  };
}

async function* run(
  socketPath: string,
  name: string,
  body: object,
  signal: AbortSignal,
): AsyncGenerator<PipelineFrame> {
  const path = pipelineRoutes.input(name);
  const response = await callSocket({ socketPath, method: "POST", path, body, signal, silenceMs: null });
  const frames: PipelineFrame[] = [];
  const parser = createParser({ onEvent: ({ data }) => void frames.push(JSON.parse(data) as PipelineFrame) });
  try {
    response.setEncoding("utf8");
    for await (const part of response) {
      parser.feed(part as string);
      for (const frame of frames.splice(0)) {
        if (frame.type === "error") throw new AssistantError("stage_failed", String(frame.chunk));
        if (frame.type === "end") return;
        yield frame;
      }
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw explain(error as Error, socketPath);
  } finally {
    response.destroy();
  }
  throw new AssistantError("engine_lost", "The connection was closed before the answer was complete.", {
    remedy: "See `assistant logs`.",
  });
}
