import { AssistantError, isAssistantError } from "../core/errors.ts";
import { Channel } from "./channel.ts";
import type { ClientPart, NamedStage, StageContext } from "./stage.ts";

export interface StagesRun {
  /** Those that the request goes through, from its entry on. */
  readonly stages: readonly NamedStage[];
  /** The first one's input. */
  readonly input: unknown;
  readonly queueLength: number;
  /** For the stage at an index. */
  context(stage: NamedStage, index: number): StageContext;
  /** Aborts when the request is no longer needed, or a stage fails. */
  readonly ending: AbortController;
  /** Takes a part for the client; the promise it returns holds the stage up. */
  client(part: ClientPart): Promise<void> | undefined;
}

/**
 * Runs all stages of one request at once. Resolves when every stage has drained. A failure aborts `ending` with its
 * reason at once; it rejects with that when all of them have stopped.
 */
export async function runStages(run: StagesRun): Promise<void> {
  const { stages, ending, queueLength } = run;
  const channels = stages.map(() => new Channel<unknown>(queueLength));
  const stop = (): void => {
    for (const channel of channels) channel.fail(ending.signal.reason as Error);
  };
  ending.signal.addEventListener("abort", stop, { once: true });
  if (ending.signal.aborted) stop();
  channels[0]?.push(run.input);
  channels[0]?.end();
  const pumps = stages.map((stage, index) =>
    pump(run, stage, index, channels[index] as Channel<unknown>, channels[index + 1] ?? null).catch((error) =>
      ending.abort(failureOf(stage, error)),
    ),
  );
  await Promise.all(pumps);
  ending.signal.removeEventListener("abort", stop);
  ending.signal.throwIfAborted();
}

async function pump(
  run: StagesRun,
  stage: NamedStage,
  index: number,
  input: Channel<unknown>,
  output: Channel<unknown> | null,
): Promise<void> {
  const { signal } = run.ending;
  const context = run.context(stage, index);
  try {
    if (context.options["enable"] === false) for await (const _ of input);
    else {
      // What it passes on is the answer, unless it writes to the client itself.
      let shows =
        index ===
        Math.max(
          0,
          run.stages.findLastIndex(({ isSink }) => isSink !== true),
        );
      for await (const { next, client } of stage.run(input, context)) {
        if (signal.aborted) throw signal.reason;
        if (client !== undefined && stage.toClient) {
          shows = false;
          const taken = run.client(client);
          if (taken !== undefined) await taken;
        }
        if (next === undefined) continue;
        if (shows) await run.client({ type: stage.emits, chunk: next });
        if (output !== null && !output.push(next)) await output.drained();
      }
    }
    signal.throwIfAborted();
    output?.end();
  } finally {
    input.abandon();
  }
}

/** Our own errors say what to do already; of a user's module nothing is known but its message. */
function failureOf({ name }: NamedStage, error: unknown): AssistantError | Error {
  if (isAssistantError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new AssistantError("stage_failed", `The stage "${name}" of the pipeline failed: ${message}`, {
    param: name,
    cause: error,
  });
}
