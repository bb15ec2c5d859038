import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { talk } from "../../../bench/conversations/talk.ts";
import { twelveByTwo } from "../../../bench/sim/shapes/shape.ts";

const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

test("a conversation's next turn comes after its last answer, however many clients are free", async () => {
  const seen: string[] = [];
  await using server = createServer(async (request, answer) => {
    let text = "";
    for await (const part of request) text += part;
    const { messages } = JSON.parse(text) as { readonly messages: readonly { readonly role: string }[] };
    seen.push(messages.map(({ role }) => role).join(" "));
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.write(event({ choices: [{ delta: { content: "yes" }, finish_reason: "length" }] }));
    answer.write(event({ choices: [], usage: { prompt_tokens: 10 * messages.length, completion_tokens: 1 } }));
    answer.end("data: [DONE]\n\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const shape = { ...twelveByTwo(1), conversations: 4, atOnce: 6, turns: 3 };
  await talk({ port: (server.address() as AddressInfo).port }, shape);
  const turns = ["system user", "system user assistant user", "system user assistant user assistant user"];
  expect(seen.toSorted()).toEqual(turns.flatMap((turn) => Array.from({ length: 4 }, () => turn)));
});
