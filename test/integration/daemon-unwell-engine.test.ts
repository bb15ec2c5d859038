import { expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { turnKnobs } from "../support/fake-engine.ts";
import { ask, fake, installFakes } from "../support/fake-installation.ts";

// At once: they mostly wait.
test.concurrent("an engine whose health is fine and whose slots make no progress is found, and the model answers again", async () => {
  await using assistant = await installFakes({ models: { river: {} }, scheduler: "wedge_after_s = 0.6" });
  const url = await assistant.serve();
  await ask(url, "river", "wake up");
  const { pid } = await assistant.ready("river");
  const stuck = await ask(url, "river", `never ${fake({ wedged: true })}`);
  expect(stuck.status).toBe(502);
  expect(stuck.text).toContain("engine_lost");
  expect(stuck.text).toMatch(/none made progress/);
  const again = await ask(url, "river", "hello");
  expect(again.status).toBe(200);
  const next = await assistant.ready("river");
  expect(next.pid).not.toBe(pid);
  expect(next.lastDeath).toMatchObject({ cause: "wedged" });
});

test.concurrent("an engine that takes requests and gives none a slot is found once its clients give up", async () => {
  await using assistant = await installFakes({
    models: { river: { knobs: [{}, {}] } },
    scheduler: "wedge_after_s = 2",
  });
  const url = await assistant.serve();
  await ask(url, "river", "wake up");
  const { pid } = await assistant.ready("river");
  // From now on it reads requests and does nothing, our own question included.
  await assistant.turn("river", { hangBeforeHeaders: true });
  for (let count = 0; count < 3; count++) {
    await ask(url, "river", "anyone there?", { signal: AbortSignal.timeout(100) }).catch(() => {});
  }
  const next = await eventually("it was started again", async () => {
    const found = (await assistant.state()).instances.find(({ model }) => model === "river");
    return found?.state === "ready" && found.pid !== pid && found;
  });
  expect(next.lastDeath?.cause).toBe("wedged");
  expect((await ask(url, "river", "hello")).status).toBe(200);
});

test.concurrent("one hung engine does not block another model", async () => {
  await using assistant = await installFakes({ models: { stuck: { knobs: { hangBeforeHeaders: false } }, brook: {} } });
  const url = await assistant.serve();
  await Promise.all([ask(url, "stuck", "wake up"), ask(url, "brook", "wake up")]);
  await assistant.turn("stuck", { hangBeforeHeaders: true, healthHang: true, slotsHang: true, ignoreSigterm: true });
  const leaving = new AbortController();
  const waiting = Array.from({ length: 20 }, () =>
    ask(url, "stuck", "anyone there?", { signal: leaving.signal }).catch(() => null),
  );
  await eventually("they wait", async () => (await assistant.state()).queued === 18);
  for (let count = 0; count < 20; count++) expect((await ask(url, "brook", `hello ${count}`)).status).toBe(200);
  leaving.abort();
  await Promise.all(waiting);
  await eventually("nobody waits", async () => (await assistant.state()).queued === 0);
});

test.concurrent("a model that cannot start does not keep another from starting", async () => {
  await using assistant = await installFakes({
    models: {
      broken: { knobs: { exitAtStart: 1, exitText: "error: no such tensor" } },
      slow: { knobs: { loading: true } },
      brook: {},
    },
  });
  const url = await assistant.serve();
  const slow = ask(url, "slow", "hello");
  const broken = ask(url, "broken", "hello");
  expect((await ask(url, "brook", "hello")).status).toBe(200);
  const starting = (await assistant.state()).instances.find(({ model }) => model === "slow");
  expect(starting?.state).toBe("starting");
  await eventually("its engine listens", () =>
    turnKnobs(starting?.endpoint ?? "", { loading: false }).then(
      () => true,
      () => false,
    ),
  );
  const failed = await broken;
  expect(failed.status).toBe(503);
  expect(failed.text).toContain("model_failed");
  expect(failed.text).toContain("no such tensor");
  expect((await slow).status).toBe(200);
});
