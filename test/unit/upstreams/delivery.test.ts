import { expect, test } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { CallerGone, NO_FACTS, SendFailure } from "../../../src/core/upstream.ts";
import { type AnswerSource, type Delivery, deliver } from "../../../src/upstreams/answer/delivery.ts";
import type { Receiver, Verdict } from "../../../src/upstreams/answer/receivers.ts";
import { chatCall, RecordingSink, sendingOf } from "../../support/calls.ts";

/** A receiver whose next verdict a test chooses. */
class ScriptedReceiver implements Receiver {
  verdict: Verdict | Error = "more";
  begun = false;
  isBetween = true;
  disposed = 0;
  body(): Verdict {
    if (this.verdict instanceof Error) throw this.verdict;
    return this.verdict;
  }
  closed(): void {
    if (this.verdict instanceof Error) throw this.verdict;
  }
  facts = () => NO_FACTS;
  betweenEvents = () => this.isBetween;
  dispose(): void {
    this.disposed++;
  }
}

function setUp(open: (delivery: Delivery, source: AnswerSource) => AnswerSource = (_, source) => source) {
  const cancellation = new Cancellation();
  const sending = sendingOf(chatCall({ cancellation }));
  const sink = new RecordingSink();
  const receiver = new ScriptedReceiver();
  const seen = { resumed: 0, closed: 0, settled: [] as unknown[] };
  const source: AnswerSource = { resume: () => void seen.resumed++, close: () => void seen.closed++ };
  let delivery: Delivery | null = null;
  const start = async (): Promise<void> => {
    const answer = deliver({
      sending,
      sink,
      retryAfter: () => "elsewhere",
      open: (opened) => {
        delivery = opened;
        return open(opened, source);
      },
    });
    await answer.then(
      (facts) => seen.settled.push(facts),
      (error) => seen.settled.push(error),
    );
  };
  const over = start();
  return { cancellation, sending, sink, receiver, seen, over, delivery: () => delivery as unknown as Delivery };
}

const bytes = Buffer.from("x");
const failure = (settled: readonly unknown[]): unknown[] =>
  settled.map((error) =>
    error instanceof SendFailure ? [error.reason.code, error.retry, error.betweenEvents] : error,
  );

test("an answer that is complete settles once, whatever comes after", async () => {
  const { delivery, receiver, seen, over, sending, cancellation } = setUp();
  delivery().head(() => receiver);
  receiver.begun = true;
  receiver.verdict = "done";
  expect(delivery().body(bytes)).toBe(true);
  delivery().body(bytes);
  delivery().closed();
  delivery().fail(new AssistantError("engine_error", "late"));
  delivery().unreachable(new Error("late"));
  cancellation.cancel(new CallerGone());
  sending.lost.cancel(new Error("late"));
  await over;
  expect(seen).toEqual({ resumed: 0, closed: 1, settled: [NO_FACTS] });
  expect([sending.firstTokens, receiver.disposed, cancellation.onCancel, sending.lost.onCancel]).toEqual([
    [true],
    1,
    null,
    null,
  ]);
});

test.each([
  [
    "the caller",
    ({ cancellation }: ReturnType<typeof setUp>) => cancellation.cancel(new CallerGone()),
    [expect.any(CallerGone)],
  ],
  [
    "the target",
    ({ sending }: ReturnType<typeof setUp>) => sending.lost.cancel(new Error("killed")),
    [["engine_lost", "elsewhere", true]],
  ],
])("when %s goes the source is closed once and nobody is listened to any more", async (_, go, expected) => {
  const all = setUp();
  go(all);
  all.delivery().closed();
  await all.over;
  expect(failure(all.seen.settled)).toEqual(expected);
  expect([all.seen.closed, all.cancellation.onCancel, all.sending.lost.onCancel]).toEqual([1, null, null]);
});

test("a call that was cancelled before it was sent opens nothing", async () => {
  const sending = sendingOf(chatCall());
  sending.call.cancellation.cancel(new CallerGone());
  const open = (): AnswerSource => expect.unreachable();
  await expect(deliver({ sending, sink: new RecordingSink(), retryAfter: () => "never", open })).rejects.toBeInstanceOf(
    CallerGone,
  );
});

test("a target that was lost before the call was sent leaves the call for another", async () => {
  const sending = sendingOf(chatCall());
  sending.lost.cancel(new Error("gone"));
  const open = (): AnswerSource => expect.unreachable();
  const error = await deliver({ sending, sink: new RecordingSink(), retryAfter: () => "never", open }).catch(
    (thrown: unknown) => thrown,
  );
  expect(failure([error])).toEqual([["engine_lost", "once", true]]);
});

test("a source that fails while it is opened is closed, and one that cannot be opened is forgotten", async () => {
  const early = setUp((delivery, source) => {
    delivery.unreachable(new Error("refused"));
    return source;
  });
  await early.over;
  expect([early.seen.closed, failure(early.seen.settled)]).toEqual([1, [["engine_lost", "once", true]]]);

  const never = setUp(() => {
    throw new AssistantError("node_unavailable", "No.");
  });
  await never.over;
  expect([never.seen.closed, failure(never.seen.settled)]).toEqual([0, [["node_unavailable", "elsewhere", true]]]);
  expect([never.cancellation.onCancel, never.sending.lost.onCancel]).toEqual([null, null]);
});

test("a pause lasts until the sink has taken what it has", async () => {
  const { delivery, receiver, sink, seen } = setUp();
  delivery().head(() => receiver);
  receiver.verdict = "pause";
  expect(delivery().body(bytes)).toBe(false);
  expect([seen.resumed, sink.waiters.length]).toEqual([0, 1]);
  sink.waiters[0]?.();
  expect(seen.resumed).toBe(1);
});

test("a fault of ours in the middle of an event is no event of the stream, and is not tried elsewhere", async () => {
  const { delivery, receiver, sink, seen, over } = setUp();
  sink.head(200, []);
  delivery().head(() => receiver);
  receiver.isBetween = false;
  receiver.verdict = new TypeError("cannot read properties of null");
  delivery().body(bytes);
  await over;
  expect(failure(seen.settled)).toEqual([["internal", "never", false]]);
  const [error] = seen.settled as [SendFailure];
  expect(error.message).not.toContain("properties of null");
  expect(error.reason.cause).toBe(receiver.verdict);
});

test("a connection that ends before the head is a broken answer", async () => {
  const { delivery, seen, over } = setUp();
  delivery().closed();
  await over;
  expect(failure(seen.settled)).toEqual([["engine_lost", "elsewhere", true]]);
});
