/** The parts of OpenAI's chunks and answers that are read. Any of them may be missing. */
export interface Chunk {
  readonly id?: unknown;
  readonly model?: unknown;
  readonly choices?: readonly Choice[];
  readonly usage?: Usage | null;
  /** From llama.cpp's engines, while the prompt is processed. */
  readonly prompt_progress?: { readonly total?: number; readonly cache?: number };
  readonly __verbose?: { readonly stopping_word?: unknown };
}

export interface Choice {
  readonly delta?: Said;
  readonly message?: Said;
  readonly finish_reason?: string | null;
  /** From vLLM: the string that ended the answer. */
  readonly stop_reason?: unknown;
}

interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

interface Said {
  readonly content?: string | null;
  readonly reasoning_content?: string | null;
  readonly tool_calls?: readonly ToolCall[];
}

export interface ToolCall {
  readonly index?: number;
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: unknown };
  readonly extra_content?: unknown;
}
