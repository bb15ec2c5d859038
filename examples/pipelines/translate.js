/** Has a model of the daemon translate each sentence. The client may name another language: `"translate": {"language": "Polish"}`. */
export const createStage = ({ model, language = "English" }) => ({
  accepts: "text",
  emits: "text",
  async *run(input, { models, options }) {
    for await (const text of input) {
      const wanted = options.language ?? language;
      const messages = [{ role: "user", content: `Translate into ${wanted}, and say nothing else:\n${text}` }];
      let translated = "";
      for await (const piece of models.chat({ model, messages })) {
        translated += piece;
        yield { client: { type: "text", chunk: piece } };
      }
      yield { next: translated };
    }
  },
});
