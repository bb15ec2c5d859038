import type { ReadStream, WriteStream } from "node:tty";
import type { ConversationView } from "../../../src/api/conversations.ts";
import type { ChatTimings } from "../../../src/client/chat-stream.ts";
import { conversationClient } from "../../../src/client/conversation-client.ts";
import type { DaemonClient } from "../../../src/client/daemon-client.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { printable } from "../../../src/ui/printable.ts";
import type { CommandContext } from "../cli/context.ts";
import { EXIT_INTERRUPTED } from "../cli/interrupt.ts";
import { showProgress } from "../cli/progress.ts";
import { ensureDaemon } from "../daemon/start.ts";
import { tellEngineNews } from "../engine/news.ts";
import { type Answer, streamAnswer } from "./answer.ts";
import { historyFile } from "./history.ts";
import { prepareModel } from "./prepare.ts";
import { Repl } from "./repl.ts";
import { ChatSession, type ChatSettings } from "./session.ts";
import { joinPrompt, readStdin } from "./stdin.ts";
import { timingLines } from "./timings.ts";

export interface RunOptions {
  readonly context: CommandContext;
  /** Null: see `prepareModel`. */
  readonly model: string | null;
  readonly words: readonly string[];
  readonly settings: Omit<ChatSettings, "model" | "conversation">;
  /** Id of a stored conversation to continue, `NEW_CONVERSATION`, or null: nothing is stored. */
  readonly conversation: string | null;
  readonly verbose: boolean;
  /** The answer is returned and nothing written but progress. */
  readonly json: boolean;
  readonly streams: { readonly input: ReadStream; readonly output: WriteStream; readonly errors: WriteStream };
}

/** What `run --json` prints. */
export interface WholeAnswer {
  readonly model: string;
  /** Where it is stored; missing: nowhere. */
  readonly conversation?: string;
  readonly text: string;
  /** `stopped`: by Ctrl-C; the text is what had come until then. */
  readonly end: Answer["end"];
  /** Null: the engine did not report any. */
  readonly timings: ChatTimings | null;
  readonly totalMs: number;
  /** Until the first text; null: there was none. */
  readonly firstTextMs: number | null;
}

/** Stands for a conversation that is begun. */
export const NEW_CONVERSATION = "new";

export interface RunResult {
  readonly exitCode: number;
  /** With `json`. */
  readonly answer?: WholeAnswer;
}

/** `assistant run`: one answer if there is a prompt, otherwise a chat. */
export async function runModel(options: RunOptions): Promise<RunResult> {
  const { context, streams } = options;
  const say = (line: string): void => void streams.errors.write(`${printable(line)}\n`);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.on("SIGINT", onSignal);
  try {
    const prompt = joinPrompt(options.words, await readStdin(streams.input, options.words.length > 0));
    if (prompt === null && options.json)
      throw new AssistantError("usage", "--json requires a prompt, and there is none.", {
        remedy: 'Write it after the model: assistant run MODEL "Name three rivers." --json',
      });
    if (prompt === null && streams.input.isTTY !== true) {
      throw new AssistantError("usage", "There is no prompt: standard input is empty.", {
        remedy: 'Write it after the model: assistant run MODEL "Name three rivers."',
      });
    }
    const known = await knownConversation(options, say);
    const prepared = await prepareModel({
      context,
      wanted: options.model ?? known?.model ?? null,
      say,
      progress: streams.errors,
      signal: stop.signal,
    });
    const client = await runningDaemon(options, prepared.configured, say);
    await tellEngineNews(context, say);
    const conversation = known?.conversation_id ?? (await begunConversation(options, prepared.name));
    if (conversation !== null && !options.json) say(`Conversation ${conversation}`);
    const session = new ChatSession({ ...options.settings, model: prepared.name, conversation });
    if (prompt !== null) return await answerOnce(client, session, prompt, options, stop.signal);
    process.off("SIGINT", onSignal);
    await new Repl({
      client,
      session,
      verbose: options.verbose,
      historyFile: historyFile(context.paths.dataDir),
      debug: context.debug,
      ...streams,
    }).run();
    return { exitCode: 0 };
  } catch (error) {
    if (stop.signal.aborted) return { exitCode: EXIT_INTERRUPTED };
    throw error;
  } finally {
    process.off("SIGINT", onSignal);
  }
}

async function runningDaemon(
  { context, streams }: RunOptions,
  configured: boolean,
  say: (line: string) => void,
): Promise<DaemonClient> {
  using progress = showProgress(streams.errors, "starting the daemon");
  const { client, status, started } = await ensureDaemon({ paths: context.paths, env: context.env, httpAddr: null });
  progress.stop();
  if (started) {
    say(`Started the daemon${status.url === null ? "" : ` at ${status.url}`}; \`assistant stop\` ends it.`);
    for (const hint of status.hints) say(`Hint: ${hint}`);
  } else if (configured) {
    await client.reload();
  }
  return client;
}

/** The conversation that is named; null: none is. */
async function knownConversation(options: RunOptions, say: (line: string) => void): Promise<ConversationView | null> {
  const { conversation, context } = options;
  if (conversation === null || conversation === NEW_CONVERSATION) return null;
  await runningDaemon(options, false, say);
  return await conversationClient(context.paths).show(conversation);
}

/** Id of a conversation that is begun; null: nothing is to be kept. */
async function begunConversation(
  { conversation, context, settings }: RunOptions,
  model: string,
): Promise<string | null> {
  if (conversation === null) return null;
  const begun = await conversationClient(context.paths).create({ model, system_prompt: settings.system });
  return begun.conversation_id;
}

async function answerOnce(
  client: DaemonClient,
  session: ChatSession,
  prompt: string,
  options: RunOptions,
  signal: AbortSignal,
): Promise<RunResult> {
  const { output, errors } = options.streams;
  const { json } = options;
  const answer = await streamAnswer({
    client,
    request: session.request(prompt),
    signal,
    out: json
      ? { write: () => {} }
      : output.isTTY === true
        ? { write: (text) => output.write(printable(text)) }
        : output,
    progress: errors,
  });
  const exitCode = answer.end === "stopped" ? EXIT_INTERRUPTED : 0;
  if (json) {
    const { text, end, timings, clock } = answer;
    const { model, conversation } = session.settings;
    const kept = conversation === null ? {} : { conversation };
    return { exitCode, answer: { model, ...kept, text, end, timings, ...clock } };
  }
  if (!answer.text.endsWith("\n")) output.write("\n");
  if (options.verbose && answer.timings !== null)
    errors.write(`\n${timingLines(answer.timings, answer.clock).join("\n")}\n`);
  return { exitCode };
}
