/** One token of an answer with its probability, as llama-server gives it for chats and completions alike. */
interface TokenProbability {
  readonly token?: string;
  readonly logprob?: number;
  readonly top_logprobs?: readonly { readonly token?: string; readonly logprob?: number }[];
}

interface TextChoice {
  readonly index?: number;
  readonly logprobs?: { readonly content?: readonly TokenProbability[] } | null;
}

/**
 * Rewrites the `logprobs` of text completions in the format that OpenAI's API has for them, which differs from that of
 * chats.
 */
export class LegacyLogprobs {
  /** Number of requested alternatives. */
  readonly #alternatives: number;
  /** Characters of each choice so far. */
  readonly #lengths = new Map<number, number>();

  constructor(alternatives: number) {
    this.#alternatives = alternatives;
  }

  rewrite<Choice extends TextChoice>(choice: Choice): Choice {
    const content = choice.logprobs?.content;
    if (content === undefined || content.some(({ logprob }) => logprob === undefined)) return choice;
    const index = choice.index ?? 0;
    let offset = this.#lengths.get(index) ?? 0;
    const offsets = content.map(({ token = "" }) => {
      const start = offset;
      offset += token.length;
      return start;
    });
    this.#lengths.set(index, offset);
    const logprobs = {
      tokens: content.map(({ token }) => token),
      token_logprobs: content.map(({ logprob }) => logprob),
      top_logprobs:
        this.#alternatives === 0
          ? null
          : content.map(({ top_logprobs: top = [] }) =>
              Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
            ),
      text_offset: offsets,
    };
    return { ...choice, logprobs };
  }
}
