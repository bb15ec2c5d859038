/** The remark on a context that is larger than the model was trained with. */
export const aboveTrained = (contextTokens: number, trainContextTokens: number): string =>
  `the context of ${contextTokens} tokens is larger than the ${trainContextTokens} that the model was trained with, and answers beyond those are usually nonsense; write \`ctx_size = ${trainContextTokens}\``;
