import type { Item } from "../../../../conversations/item.ts";
import { AssistantError } from "../../../../core/errors.ts";
import type { JsonObject } from "../../../../core/inference.ts";
import { type Body, isObject, isString } from "../../../canonical/rules.ts";
import { type ContentFrame, onlyContentOf } from "../../../front/splicer.ts";
import { itemId } from "./ids.ts";
import { customInput } from "./tools.ts";

type Ending = "completed" | "incomplete" | "failed" | "cancelled";

/** What an answer is built from. */
export interface AnswerPlan {
  readonly id: string;
  /** Epoch seconds. */
  readonly createdAt: number;
  /** As named by the client, until the target reports its name. */
  readonly model: string;
  readonly repeated: JsonObject;
  readonly summarizes: boolean;
  /** Tools whose calls have free text as input. */
  readonly customTools?: readonly string[];
  /** Functions of namespaces, by the names under which the model knows them. */
  readonly namespaced?: ReadonlyMap<string, { readonly namespace: string; readonly name: string }>;
  /** Number of earlier items, so that ids are unique. */
  readonly inputItems: number;
  /** Receives each event of the stream; missing: there is no stream. */
  readonly onEvent?: (event: JsonObject & { readonly sequence_number: number }) => void;
}

/** An item while it grows. */
interface Growing {
  readonly kind: "message" | "refusal" | "reasoning" | "function_call" | "custom_tool_call";
  readonly index: number;
  readonly item: Record<string, unknown> & Item;
  text: string;
  /** More of the text, a JSON string without its quotes. */
  json: string;
  logprobs: unknown[];
  /** The call's identification in the target's format. */
  readonly call: { readonly index: unknown; readonly id: unknown } | null;
}

const DONE: Readonly<Record<string, Ending>> = { length: "incomplete", content_filter: "incomplete" };

/**
 * Builds an answer of the Responses API, and the events of its stream in order, from an answer in OpenAI's chat format.
 */
export class ResponseAnswer {
  readonly #plan: AnswerPlan;
  readonly #output: Item[] = [];
  #status: Ending | "queued" | "in_progress";
  #model: string;
  #sequence = 0;
  #growing: Growing | null = null;
  #finishReason: string | null = null;
  #usage: object | null = null;
  #error: object | null = null;
  #completedAt: number | null = null;

  constructor(plan: AnswerPlan) {
    this.#plan = plan;
    this.#model = plan.model;
    this.#status = plan.repeated["background"] === true ? "queued" : "in_progress";
  }

  /** Its current state. */
  get response(): JsonObject & { readonly id: string; readonly output: readonly Item[] } {
    const { id, createdAt, repeated } = this.#plan;
    const reason = this.#finishReason === "length" ? "max_output_tokens" : "content_filter";
    return {
      id,
      object: "response",
      created_at: createdAt,
      status: this.#status,
      completed_at: this.#completedAt,
      error: this.#error,
      incomplete_details: this.#status === "incomplete" ? { reason } : null,
      model: this.#model,
      output: this.#growing === null ? [...this.#output] : [...this.#output, this.#growing.item],
      ...(this.#usage === null ? {} : { usage: this.#usage }),
      ...repeated,
    };
  }

  /** It has ended normally, or at a limit. */
  get isAnswered(): boolean {
    return this.#status === "completed" || this.#status === "incomplete";
  }

  get hasEnded(): boolean {
    return this.#status !== "queued" && this.#status !== "in_progress";
  }

  /** `response.created`, with `response.queued` if it waits in the background. */
  created(): void {
    this.#emit("response.created", { response: this.response });
    if (this.#status === "queued") this.#emit("response.queued", { response: this.response });
  }

  /** The target has begun. `model`: its name; null: not reported. */
  begin(model: string | null): void {
    this.#model = model ?? this.#model;
    this.#status = "in_progress";
    this.#emit("response.in_progress", { response: this.response });
  }

  /** One object of a stream in OpenAI's chat format. Throws `engine_error`. */
  chunk(chunk: JsonObject): void {
    const { usage, choices } = chunk;
    if (isObject(usage)) this.#usage = usageOf(usage);
    const [choice] = Array.isArray(choices) ? choices : [];
    if (!isObject(choice)) return;
    if (isObject(choice["delta"])) this.#delta(choice["delta"], choice["logprobs"]);
    if (isString(choice["finish_reason"])) this.#finishReason = choice["finish_reason"];
  }

  /**
   * How to process further chunks that differ from this one, the last, only in their content: each is written as the
   * event that `onEvent` would receive. Null: `chunk` must see them.
   */
  likewise(chunk: JsonObject): ContentFrame | null {
    const growing = this.#growing;
    if (growing?.kind !== "message" || onlyContentOf(chunk) === null) return null;
    const type = "response.output_text.delta";
    const start = `event: ${type}\ndata: {"type":"${type}","sequence_number":`;
    const place = `,${JSON.stringify(this.#place(growing)).slice(1, -1)},"delta":"`;
    let before = Buffer.alloc(0);
    let digits = 0;
    return {
      // Numbers of as many digits have the same bytes around them.
      before: () => {
        const number = String(this.#sequence++);
        if (number.length === digits) before.write(number, start.length, "latin1");
        else before = Buffer.from(start + number + place);
        digits = number.length;
        return before;
      },
      after: AFTER_DELTA,
      seen: (json) => {
        growing.json += json;
      },
    };
  }

  /** A whole answer in OpenAI's chat format. Throws `engine_error`. */
  whole(answer: JsonObject): void {
    const { choices, ...rest } = answer;
    const [choice] = (Array.isArray(choices) ? choices : []) as readonly Body[];
    if (!isObject(choice?.["message"])) throw new AssistantError("engine_error", "The engine's answer has no message.");
    const { tool_calls: calls, ...message } = choice["message"];
    const numbered = Array.isArray(calls) ? calls.map((call, index) => ({ ...(call as Body), index })) : [];
    this.chunk({ ...rest, choices: [{ ...choice, delta: { ...message, tool_calls: numbered } }] });
  }

  /** The target's answer is complete. */
  finish(): void {
    const ending = DONE[this.#finishReason ?? ""] ?? "completed";
    this.#close(ending === "completed" ? "completed" : "incomplete");
    this.#end(ending);
  }

  fail(error: AssistantError): void {
    this.#close("incomplete");
    const { message, param } = error;
    this.#error = { code: failureCode(error), message };
    this.#emit("error", { code: error.code, message, param });
    this.#end("failed");
  }

  cancel(): void {
    this.#close("incomplete");
    this.#end("cancelled");
  }

  #end(ending: Ending): void {
    this.#status = ending;
    if (ending === "completed") this.#completedAt = Math.floor(Date.now() / 1000);
    // OpenAI's API has no event for a cancelled response.
    if (ending !== "cancelled") this.#emit(`response.${ending}`, { response: this.response });
  }

  #delta(delta: Body, logprobs: unknown): void {
    const reasoning = delta["reasoning_content"] ?? delta["reasoning"];
    if (isString(reasoning) && reasoning !== "") this.#grow("reasoning", reasoning);
    const { content, refusal, tool_calls: calls } = delta;
    if (isString(content) && content !== "") this.#grow("message", content, logprobsOf(logprobs));
    if (isString(refusal) && refusal !== "") this.#grow("refusal", refusal);
    if (Array.isArray(calls)) for (const call of calls) if (isObject(call)) this.#call(call);
  }

  #grow(kind: "message" | "refusal" | "reasoning", delta: string, logprobs: readonly unknown[] = []): void {
    if (this.#growing?.kind !== kind) {
      this.#close("completed");
      this.#open(kind, null);
    }
    const growing = this.#growing as unknown as Growing;
    growing.text = textOf(growing) + delta;
    growing.json = "";
    growing.logprobs.push(...logprobs);
    const at = this.#place(growing);
    if (kind === "message") this.#emit("response.output_text.delta", { ...at, delta, logprobs });
    else if (kind === "refusal") this.#emit("response.refusal.delta", { ...at, delta });
    else this.#emit(`${this.#reasoningEvent}.delta`, { ...at, delta });
  }

  #call(call: Body): void {
    const { index = 0, id = null } = call;
    const { name, arguments: args = "" } = (isObject(call["function"]) ? call["function"] : {}) as Body;
    const current = this.#growing?.call ?? null;
    // Some servers number all calls as the first, with different ids.
    const isNew = current === null || current.index !== index || (id !== null && id !== "" && id !== current.id);
    if (isNew) {
      if (!isString(name) || name === "")
        throw new AssistantError("engine_error", "The engine went on with a tool call that it had ended.");
      this.#close("completed");
      const isCustom = this.#plan.customTools?.includes(name) === true;
      const kind = isCustom ? "custom_tool_call" : "function_call";
      this.#open(
        kind,
        { index, id },
        {
          call_id: id ?? `call_${this.#output.length}`,
          ...(this.#plan.namespaced?.get(name) ?? { name }),
        },
      );
    }
    const growing = this.#growing as unknown as Growing;
    const delta = isString(args) ? args : JSON.stringify(args);
    if (delta === "") return;
    growing.text += delta;
    // The text is within the arguments, and complete when they are.
    if (growing.kind === "custom_tool_call") return;
    const { output_index, item_id } = this.#place(growing);
    this.#emit("response.function_call_arguments.delta", { item_id, output_index, delta });
  }

  #open(kind: Growing["kind"], call: Growing["call"], called: Body = {}): void {
    const { id, inputItems } = this.#plan;
    const index = this.#output.length;
    const at = (prefix: string): string => itemId(id, prefix, inputItems + index);
    const item: Growing["item"] =
      kind === "function_call"
        ? { type: "function_call", id: at("fc"), status: "in_progress", arguments: "", ...called }
        : kind === "custom_tool_call"
          ? { type: "custom_tool_call", id: at("ctc"), status: "in_progress", input: "", ...called }
          : kind === "reasoning"
            ? { type: "reasoning", id: at("rs"), status: "in_progress", summary: [] }
            : { type: "message", id: at("msg"), status: "in_progress", role: "assistant", content: [] };
    this.#growing = { kind, index, item, text: "", json: "", logprobs: [], call };
    this.#emit("response.output_item.added", { output_index: index, item: { ...item } });
    if (kind === "function_call" || kind === "custom_tool_call") return;
    const place = this.#place(this.#growing);
    this.#emit(`${this.#partEvent(kind)}.added`, { ...place, part: partOf(this.#growing, this.#plan.summarizes) });
  }

  #close(status: "completed" | "incomplete"): void {
    const growing = this.#growing;
    if (growing === null) return;
    const { kind, item, logprobs, index } = growing;
    const text = textOf(growing);
    const at = this.#place(growing);
    if (kind === "function_call") {
      item["arguments"] = text;
      const { item_id, output_index } = at;
      const { name } = item;
      this.#emit("response.function_call_arguments.done", { item_id, output_index, name, arguments: text });
    } else if (kind === "custom_tool_call") {
      const input = customInput(text);
      item["input"] = input;
      const { item_id, output_index } = at;
      this.#emit("response.custom_tool_call_input.delta", { item_id, output_index, delta: input });
      this.#emit("response.custom_tool_call_input.done", { item_id, output_index, input });
    } else {
      const part = partOf(growing, this.#plan.summarizes);
      if (kind === "message") this.#emit("response.output_text.done", { ...at, text, logprobs });
      else if (kind === "refusal") this.#emit("response.refusal.done", { ...at, refusal: text });
      else this.#emit(`${this.#reasoningEvent}.done`, { ...at, text });
      this.#emit(`${this.#partEvent(kind)}.done`, { ...at, part });
      item[kind === "reasoning" && this.#plan.summarizes ? "summary" : "content"] = [part];
    }
    item["status"] = status;
    this.#growing = null;
    this.#output.push(item);
    this.#emit("response.output_item.done", { output_index: index, item });
  }

  get #reasoningEvent(): string {
    return this.#plan.summarizes ? "response.reasoning_summary_text" : "response.reasoning_text";
  }

  #partEvent(kind: Growing["kind"]): string {
    return kind === "reasoning" && this.#plan.summarizes ? "response.reasoning_summary_part" : "response.content_part";
  }

  #place({ kind, index, item }: Growing): { item_id: string; output_index: number } & Body {
    const part = kind === "reasoning" && this.#plan.summarizes ? "summary_index" : "content_index";
    return { item_id: item.id, output_index: index, [part]: 0 };
  }

  #emit(type: string, fields: Body): void {
    const number = this.#sequence++;
    this.#plan.onEvent?.({ type, sequence_number: number, ...fields });
  }
}

const AFTER_DELTA = Buffer.from('","logprobs":[]}\n\n');

const textOf = ({ text, json }: Growing): string => (json === "" ? text : text + (JSON.parse(`"${json}"`) as string));

function partOf(growing: Growing, summarizes: boolean): Body {
  const { kind, logprobs } = growing;
  const text = textOf(growing);
  if (kind === "refusal") return { type: "refusal", refusal: text };
  if (kind === "reasoning") return { type: summarizes ? "summary_text" : "reasoning_text", text };
  return { type: "output_text", text, annotations: [], logprobs: [...logprobs] };
}

const logprobsOf = (logprobs: unknown): readonly unknown[] =>
  isObject(logprobs) && Array.isArray(logprobs["content"]) ? logprobs["content"] : [];

const count = (value: unknown): number => (typeof value === "number" ? value : 0);
const detail = (details: unknown, name: string): number => (isObject(details) ? count(details[name]) : 0);

function usageOf(usage: Body): object {
  const { prompt_tokens: input, completion_tokens: output } = usage;
  return {
    input_tokens: count(input),
    input_tokens_details: {
      cached_tokens: detail(usage["prompt_tokens_details"], "cached_tokens"),
      cache_write_tokens: detail(usage["prompt_tokens_details"], "cache_write_tokens"),
    },
    output_tokens: count(output),
    output_tokens_details: { reasoning_tokens: detail(usage["completion_tokens_details"], "reasoning_tokens") },
    total_tokens: count(input) + count(output),
  };
}

/** One of the few codes that OpenAI's schema has. */
const failureCode = ({ status }: AssistantError): string =>
  status === 429 ? "rate_limit_exceeded" : status < 500 ? "invalid_prompt" : "server_error";
