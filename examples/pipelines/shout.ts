/** Repeats each text in capital letters, to the client and to the next stage. */
export const createStage = ({ marks = 1 }: { readonly marks?: number }) => ({
  accepts: "text",
  emits: "text",
  async *run(input: AsyncIterable<string>) {
    for await (const text of input) {
      const loud = `${text.toUpperCase()}${"!".repeat(marks)}`;
      yield { client: { type: "text", chunk: loud }, next: loud };
    }
  },
});
