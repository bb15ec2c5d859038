import { expect, test } from "vitest";
import { isAssistantError } from "../../../src/core/errors.ts";
import { runStages } from "../../../src/pipelines/run.ts";
import type { ClientPart, NamedStage, Stage, StageContext, StageOutput } from "../../../src/pipelines/stage.ts";

type Run = Stage["run"];
const stage = (name: string, run: Run, more: Partial<NamedStage> = {}): NamedStage => ({
  ...{ name, section: name, toClient: true, accepts: "text", emits: "text", run },
  ...more,
});
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs stages to their end and returns what the client got, as text. */
async function run(
  stages: readonly NamedStage[],
  options: { queueLength?: number; ending?: AbortController; request?: Record<string, object>; slow?: boolean } = {},
): Promise<string[]> {
  const { queueLength = 2, ending = new AbortController(), request = {}, slow = false } = options;
  const parts: string[] = [];
  await runStages({
    stages,
    input: "in",
    queueLength,
    ending,
    context: ({ section }) => ({ options: request[section] ?? {}, signal: ending.signal }) as unknown as StageContext,
    client: ({ type, chunk }: ClientPart) => {
      parts.push(type === "text" ? String(chunk) : `${type}:${String(chunk)}`);
      return slow ? tick() : undefined;
    },
  });
  return parts;
}

const counting = (count: number): Run =>
  async function* () {
    for (let index = 0; index < count; index++) yield { next: index };
  };
const mapping = (map: (value: unknown) => StageOutput): Run =>
  async function* (input) {
    for await (const value of input) yield map(value);
  };

test("the client gets the outer output, and the next stage the inner one", async () => {
  const first = stage(
    "a",
    mapping((value) => ({ client: { type: "text", chunk: `{${value}}` }, next: `${value}!` })),
  );
  const last = stage(
    "b",
    mapping((value) => ({ client: { type: "info", chunk: value } })),
  );
  expect(await run([first, last])).toEqual(["{in}", "info:in!"]);
});

test("what the last stage passes on is the answer", async () => {
  expect(
    await run([
      stage(
        "a",
        mapping((value) => ({ next: `${value}!` })),
      ),
    ]),
  ).toEqual(["in!"]);
});

test("what the last stage passes on is not repeated where it writes to the client itself", async () => {
  const written = mapping((value) => ({ client: { type: "text", chunk: value }, next: value }));
  expect(await run([stage("a", written)])).toEqual(["in"]);
});

test("a sink after it does not repeat the answer", async () => {
  const pass = mapping((value) => ({ next: value }));
  const sinks = [stage("b", pass, { isSink: true }), stage("c", pass, { isSink: true })];
  expect(await run([stage("a", counting(2)), ...sinks])).toEqual(["0", "1"]);
  const written = mapping((value) => ({ client: { type: "text", chunk: value }, next: value }));
  expect(await run([stage("a", written), ...sinks])).toEqual(["in"]);
});

test("a stage that is kept from the client still passes values on", async () => {
  const quiet = stage(
    "a",
    mapping((value) => ({ client: { type: "text", chunk: "hidden" }, next: value })),
    { toClient: false },
  );
  expect(
    await run([
      quiet,
      stage(
        "b",
        mapping((value) => ({ next: value })),
      ),
    ]),
  ).toEqual(["in"]);
});

test("stages run at once: a later one works while an earlier one goes on", async () => {
  const seen: string[] = [];
  const first = stage("a", async function* () {
    for (let index = 0; index < 3; index++) {
      seen.push(`a${index}`);
      yield { next: index };
      await tick();
    }
  });
  const second = stage("b", async function* (input) {
    for await (const value of input) {
      seen.push(`b${value}`);
      yield {};
    }
  });
  await run([first, second]);
  expect(seen).toEqual(["a0", "b0", "a1", "b1", "a2", "b2"]);
});

test("it ends only after the slowest stage has drained, in order", async () => {
  const slow: Run = async function* (input) {
    for await (const value of input) {
      await tick();
      yield { next: value };
    }
  };
  const parts = await run([stage("a", counting(50)), stage("b", slow), stage("c", slow)]);
  expect(parts).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
});

test("a slow client holds up the first stage: no more than the queues hold waits", async () => {
  let made = 0;
  let ahead = 0;
  let taken = 0;
  const first = stage("a", async function* () {
    for (made = 1; made <= 100; made++) {
      ahead = Math.max(ahead, made - taken);
      yield { next: made };
    }
  });
  const pass = mapping((value) => ({ next: value }));
  const last = stage("c", async function* (input) {
    for await (const _ of input) {
      await tick();
      taken += 1;
      yield {};
    }
  });
  await run([first, stage("b", pass), last], { queueLength: 3 });
  expect(taken).toBe(100);
  expect(ahead).toBeLessThan(12);
});

test("an error of one stage names it and ends the others", async () => {
  let ended = false;
  const first = stage("a", async function* () {
    try {
      for (let index = 0; ; index++) yield { next: index };
    } finally {
      ended = true;
    }
  });
  const second = stage("b", async function* (input) {
    for await (const value of input) if (value === 5) throw new Error("no more");
    yield {};
  });
  const error = await run([first, second]).catch((thrown: unknown) => thrown);
  expect(isAssistantError(error) && error.code).toBe("stage_failed");
  expect(error).toMatchObject({ param: "b", message: 'The stage "b" of the pipeline failed: no more' });
  expect(ended).toBe(true);
});

test("cancelling ends stages that wait for each other", async () => {
  const ending = new AbortController();
  const forever = stage("a", async function* (_, { signal }) {
    yield { next: 1 };
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  const waiting = stage(
    "b",
    mapping((value) => ({ next: value })),
  );
  const running = run([forever, waiting], { ending });
  await tick();
  ending.abort(new Error("the client left"));
  await expect(running).rejects.toThrow("the client left");
});

test("a stage that a request turns off takes its input and gives nothing", async () => {
  const request = { b: { enable: false } };
  expect(
    await run(
      [
        stage("a", counting(20)),
        stage(
          "b",
          mapping((value) => ({ next: value })),
        ),
      ],
      { request },
    ),
  ).toEqual([]);
});

test("a stage that stops reading does not hold up the one before it", async () => {
  const one = stage("b", async function* (input) {
    for await (const value of input) {
      yield { next: value };
      return;
    }
  });
  expect(await run([stage("a", counting(100)), one])).toEqual(["0"]);
});

test("a slow client keeps the order", async () => {
  expect(await run([stage("a", counting(5))], { slow: true })).toEqual(["0", "1", "2", "3", "4"]);
});
