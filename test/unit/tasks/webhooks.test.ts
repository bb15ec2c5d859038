import { expect, test } from "vitest";
import { newSecret, signedHeaders } from "../../../src/tasks/signature.ts";
import { checkWebhookUrl, WebhookClient } from "../../../src/tasks/webhook-post.ts";
import { retryDelayMs, Webhooks, type WebhooksOptions } from "../../../src/tasks/webhooks.ts";
import { startReceiver } from "../../support/webhook-receiver.ts";

test("a signature is the one of Standard Webhooks' own example", () => {
  expect(
    signedHeaders(
      "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      "msg_p5jXN8AQM9LWM0D4loKWxJek",
      1_614_265_330,
      '{"test": 2432232314}',
    ),
  ).toEqual({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("a new secret has 32 bytes", () => {
  expect(Buffer.from(newSecret().replace("whsec_", ""), "base64")).toHaveLength(32);
});

test("a webhook that failed is sent again after 1, 2 and 4 s", () => {
  expect([1, 2, 3].map(retryDelayMs)).toEqual([1_000, 2_000, 4_000]);
});

test.each([
  "http://localhost/x",
  "http://127.0.0.1:80/",
  "http://[::1]/",
  "http://10.1.2.3/",
  "http://169.254.169.254/latest",
  "http://[::ffff:127.0.0.1]/",
  "http://2130706433/",
])("%s is no address for a webhook unless that is allowed", (url) => {
  expect(() => checkWebhookUrl(url, false)).toThrow("webhook_allow_private");
  expect(() => checkWebhookUrl(url, true)).not.toThrow();
});

test.each(["ftp://example.org/", "example.org", "http://me:secret@example.org/"])("%s is no address at all", (url) => {
  expect(() => checkWebhookUrl(url, true)).toThrow("expected an http or https URL without user and password");
});

test.each([
  "https://example.org/\u001b]0;x",
  "https://example.org/\n",
  "\u0000https://example.org/",
  "https://example.org/\u009b",
])("an address with control characters is refused: %j", (url) => {
  expect(() => checkWebhookUrl(url, true)).toThrow("without control characters");
});

test("a redirect of a webhook is a failure, and not followed", async () => {
  await using receiver = await startReceiver();
  receiver.redirects.push(`${receiver.url}/other`);
  const client = new WebhookClient();
  try {
    const posted = await client.post(`${receiver.url}/done`, "{}", {}, { timeoutMs: 5_000, allowPrivate: true });
    expect(posted).toEqual({ status: 307, error: "answered with status 307" });
    expect(receiver.received.map(({ path }) => path)).toEqual(["/done"]);
  } finally {
    await client.close();
  }
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "what comes due %i steps after a look has read the store is seen",
  async (steps) => {
    let looks = 0;
    const list = async () => {
      looks += 1;
      return { records: [], next: null };
    };
    const store = { isShared: false, collection: () => ({}) };
    const webhooks = new Webhooks({ store, deliveries: { list } } as unknown as WebhooksOptions);
    webhooks.start();
    for (let step = 0; step < steps; step++) await null;
    webhooks.look();
    await new Promise(setImmediate);
    expect(looks).toBe(2);
    await webhooks.stop();
  },
);
