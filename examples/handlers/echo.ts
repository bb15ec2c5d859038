import { WorkerApp } from "assistant/worker";

/** Run it with `assistant worker run echo.ts`; the daemon then serves `echo`, `count` and `upper` over KServe and /infer. */
export const app = new WorkerApp();

app.capability({ type: "echo" }, (request) => ({ echo: request.get("text") }));

app.capability({ type: "count" }, { stream: true }, async (request, context, stream) => {
  const [last = 0] = request.get("to").map(Number);
  for (let number = 1; number <= last && !context.signal.aborted; number += 1) await stream.send({ number: [number] });
  stream.close();
});

app.worker(
  { capabilities: [{ type: "upper", language: "en" }], gpus: 2 },
  {
    onStart: ({ replicaId }) => console.log(`${replicaId} starts`),
    handle: (request) => ({ text: request.texts("text").map((text) => text.toUpperCase()) }),
  },
);

/** Handlers call each other, and pass large data by reference. */
app.capability({ type: "relay" }, async (request, context) => {
  const ref = await context.objects.create(Buffer.from(request.texts("text").join(" ")));
  const { echo } = await context.call({ capability: { type: "echo" } }, { text: [JSON.stringify(ref)] });
  const content = await context.objects.get(JSON.parse(String(echo?.[0])));
  return { text: [content as Buffer] };
});

app.capability({ type: "faulty" }, () => {
  throw new Error("the handler has failed");
});
