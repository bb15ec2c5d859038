import type { JsonObject } from "../../../core/inference.ts";
import type { InferRequest } from "./request.ts";
import type { OutputTensor } from "./tensors.ts";

/** The only version of every model. */
export const MODEL_VERSION = "1";

/** An answer, streamed or not. */
export interface InferResponse {
  readonly model: string;
  /** The request's; "": it had none. */
  readonly id: string;
  readonly parameters: JsonObject;
  readonly outputs: readonly OutputTensor[];
}

interface Choice {
  readonly index: number;
  /** Of a completion. */
  readonly text?: string;
  /** Of a chat. */
  readonly message?: Message;
  /** Of a streamed chat. */
  readonly delta?: Message;
  readonly finish_reason?: string | null;
}
interface Message {
  readonly content?: string | null;
  readonly tool_calls?: readonly unknown[] | null;
}
interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
}
interface Answer {
  readonly choices?: readonly Choice[];
  readonly data?: readonly { readonly index: number; readonly embedding: readonly number[] }[];
  readonly usage?: Usage | null;
}

/** The outputs of one call, created from its answer in OpenAI's format. */
export class AnswerTensors {
  readonly #head: Pick<InferResponse, "model" | "id">;
  /** Null: the default ones. */
  readonly #wanted: ReadonlySet<string> | null;
  readonly #extra: readonly string[];
  /** The end of a stream, followed only by the token counts. */
  #last: Choice | null = null;
  #usage: Usage = {};

  constructor({ model, id, outputs }: Pick<InferRequest, "model" | "id" | "outputs">, extra: readonly string[]) {
    this.#head = { model, id };
    this.#wanted = outputs.length === 0 ? null : new Set(outputs);
    this.#extra = extra;
  }

  /** An answer in one piece. */
  whole(answer: JsonObject): InferResponse {
    const { choices = [], data, usage } = answer as Answer;
    this.#usage = usage ?? {};
    return data === undefined
      ? this.#response([...generated(inOrder(choices)), ...this.#counts()], {})
      : this.#response([embeddings(inOrder(data).map(({ embedding }) => embedding)), ...this.#counts()], {});
  }

  /** A part of a streamed answer; null: nothing yet. */
  chunk(chunk: JsonObject): InferResponse | null {
    const { choices = [], usage } = chunk as Answer;
    if (usage) this.#usage = usage;
    const [choice] = choices;
    if (choice === undefined) return null;
    if (choice.finish_reason) {
      this.#last = choice;
      return null;
    }
    const isEmpty = textOf(choice) === "" && callsOf(choice) === null;
    return isEmpty ? null : this.#response(generated([choice]), { triton_final_response: false });
  }

  /** The last part of a streamed answer. */
  end(): InferResponse {
    const last = generated([this.#last ?? { index: 0 }]);
    return this.#response([...last, ...this.#counts()], { triton_final_response: true });
  }

  #counts(): OutputTensor[] {
    const { prompt_tokens: input = 0, completion_tokens: output = 0 } = this.#usage;
    return [count("num_input_tokens", input), count("num_output_tokens", output)];
  }

  #response(outputs: readonly OutputTensor[], parameters: JsonObject): InferResponse {
    return { ...this.#head, parameters, outputs: outputs.filter((output) => this.#isGiven(output)) };
  }

  #isGiven({ name, data }: OutputTensor): boolean {
    if (this.#extra.includes(name)) return true;
    if (this.#wanted !== null) return this.#wanted.has(name);
    return name === "tool_calls" ? data.some((calls) => calls !== NO_CALLS) : !name.startsWith("num_");
  }
}

const NO_CALLS = "[]";

const generated = (choices: readonly Choice[]): OutputTensor[] => [
  texts("text_output", choices.map(textOf)),
  texts(
    "finish_reason",
    choices.map(({ finish_reason: reason }) => reason ?? ""),
  ),
  texts(
    "tool_calls",
    choices.map((choice) => JSON.stringify(callsOf(choice) ?? [])),
  ),
];

const textOf = ({ text, message, delta }: Choice): string => text ?? (message ?? delta)?.content ?? "";
const callsOf = ({ message, delta }: Choice): readonly unknown[] | null => (message ?? delta)?.tool_calls ?? null;

const texts = (name: string, data: readonly string[]): OutputTensor => ({
  name,
  datatype: "BYTES",
  shape: [data.length],
  data,
});
const count = (name: string, value: number): OutputTensor => ({ name, datatype: "UINT32", shape: [1], data: [value] });
const embeddings = (rows: readonly (readonly number[])[]): OutputTensor => ({
  name: "embedding",
  datatype: "FP32",
  shape: [rows.length, rows[0]?.length ?? 0],
  data: rows.flat(),
});

const inOrder = <T extends { readonly index: number }>(list: readonly T[]): readonly T[] =>
  [...list].sort((a, b) => a.index - b.index);
