import type { RoutingPolicyName } from "../../src/core/config.ts";
import { seededRandom } from "../../test/support/random.ts";
import { poissonGapMs, type SimRequest } from "../sim/requests.ts";
import { readTrace, replay, type TraceLine } from "../sim/trace.ts";
import { largeGpu } from "../stub/parameters.ts";
import { compareArms, type WorkloadContext } from "./arms.ts";
import { installStubs, SPEED, type StubInstallation, type StubModel } from "./installation.ts";
import { type Figures, figures, type Planned, requireRight, type Sent, send } from "./plan.ts";
import type { PromptPart } from "./prompts.ts";

const INSTANCES = 3;
/** Prompt tokens a second of all instances together, on the clients' clock. */
const CAPACITY = INSTANCES * largeGpu.prefillTokensPerSecond * SPEED;
const PATIENCE_MS = 60_000;
/** As many tokens as 8 GiB, the default, hold of a real 8B model. */
const HOST_CACHE_MIB = 512;

type Lateness = Awaited<ReturnType<StubInstallation["lateness"]>>;

async function underPolicy(
  policy: RoutingPolicyName,
  model: StubModel,
  requests: readonly Planned[],
): Promise<{ sent: Sent[]; all: Figures & Lateness }> {
  await using daemon = await installStubs({ policy, models: { m: { ...model, replicas: INSTANCES } } });
  const sent = await send({ port: daemon.port, requests, patienceMs: PATIENCE_MS });
  requireRight(policy, sent);
  return { sent, all: { ...figures(sent), ...(await daemon.lateness("m")) } };
}

/** Of the trace's conversations; the others would make the hour too long to replay. */
const TRACE_SHARE = 1 / 50;
/** Prompts and answers are so much shorter, so that there are enough of them to see what is reused. */
const SHRINK = 8;
/** Role and line ends of a message. */
const FRAME_TOKENS = 2;

/**
 * Whole conversations of a trace, which is what a prefix cache lives on. One is told by its second block: the first is
 * a system prompt.
 */
function sampled(trace: readonly TraceLine[]): TraceLine[] {
  return trace.filter(({ hash_ids: [first = 0, second = first] }) => seededRandom(second)() < TRACE_SHARE);
}

/** One message for each block: equal blocks are equal texts. */
function blocksAsMessages(request: SimRequest): PromptPart[] {
  return request.blocks.map(({ hash, tokens }, index) => {
    const own = tokens - (request.blocks[index - 1]?.tokens ?? 0);
    return { role: "user", seed: `block ${hash}`, tokens: Math.max(4, Math.round(own / SHRINK) - FRAME_TOKENS) };
  });
}

/**
 * W3: conversations of a real service's hour, at several rates; a rate of 1 asks for 0.7 of the prefill that there is.
 */
export async function traceReplay(context: WorkloadContext): Promise<void> {
  if (context.trace === null) {
    context.report.add({ bench: "workloads", measure: "W3", missing: "no --trace FILE.jsonl was given" });
    return;
  }
  const trace = sampled(readTrace(context.trace));
  for (const rate of [0.5, 1, 2]) {
    const requests = replay(trace, 0.7 * rate * CAPACITY * SHRINK, 1, trace.length).map(
      (each, id): Planned => ({
        id,
        tag: "trace",
        atMs: each.at,
        model: "m",
        prompt: blocksAsMessages(each),
        maxTokens: Math.max(1, Math.round(each.outputTokens / SHRINK)),
      }),
    );
    await compareArms(context, {
      workload: "W3",
      title: `trace × ${rate}, ${requests.length} requests, ${INSTANCES} instances`,
      ...(rate === 1 ? {} : { policies: ["expected-time", "least-outstanding"] }),
      facts: { rate, instances: INSTANCES },
      run: async (policy) => ({
        ...(await underPolicy(policy, { slots: 8, contextTokens: 20_480, hostCacheMib: HOST_CACHE_MIB }, requests)).all,
      }),
    });
  }
}

/** One and a half for each slot; host caches hold them all, where they are spread evenly. */
const AGENTS = {
  count: 18,
  turns: 5,
  sharedTokens: 6000,
  ownTokens: 400,
  answerTokens: 40,
  thinkMs: 1200,
  spreadMs: 4000,
};

/** W4: agents with one long system prompt, more of them than slots. */
export async function agents(context: WorkloadContext): Promise<void> {
  const { count, turns, sharedTokens, ownTokens, answerTokens, thinkMs, spreadMs } = AGENTS;
  const random = seededRandom(4);
  const requests: Planned[] = [];
  for (let agent = 0; agent < count; agent++) {
    const beginsAt = random() * spreadMs;
    const prompt: PromptPart[] = [{ role: "system", seed: "the agents' handbook", tokens: sharedTokens }];
    for (let turn = 0; turn < turns; turn++) {
      prompt.push({
        role: "user",
        seed: `agent ${agent} in turn ${turn}`,
        tokens: Math.round(ownTokens * (0.5 + random())),
      });
      const id = agent * turns + turn;
      const before = turn > 0 ? { after: id - 1 } : {};
      requests.push({
        id,
        tag: turn > 0 ? "later turn" : "first turn",
        atMs: beginsAt + turn * thinkMs,
        ...before,
        model: "m",
        prompt: [...prompt],
        maxTokens: answerTokens,
      });
      prompt.push({ role: "assistant", tokens: answerTokens });
    }
  }
  const later = requests.filter(({ after }) => after !== undefined);
  const newTokens = later.reduce((sum, { prompt }) => sum + (prompt.at(-1)?.tokens ?? 0), 0);
  await compareArms(context, {
    workload: "W4",
    title: `${count} agents with ${sharedTokens} shared tokens on ${INSTANCES} × 4 slots`,
    facts: { ...AGENTS, instances: INSTANCES, slots: 4 },
    more: ["prefilledOfNew"],
    run: async (policy) => {
      // A stub's weights tell the daemon nothing of its host cache, which it would count on: so much more context
      // stands for it.
      const { sent, all } = await underPolicy(
        policy,
        { slots: 4, contextTokens: 32_768, hostCacheMib: HOST_CACHE_MIB },
        requests,
      );
      // Of the first turns every slot has to compute the shared part once, whoever chooses.
      return { ...all, prefilledOfNew: figures(sent, "later turn").prefilledTokens / newTokens };
    },
  });
}

/** W5: prompts that nobody has seen before, at 0.65 of the prefill that there is. */
export async function noReuse(context: WorkloadContext): Promise<void> {
  const meanTokens = 3000;
  const random = seededRandom(5);
  const requests: Planned[] = [];
  const perSecond = (0.65 * CAPACITY) / meanTokens;
  for (let atMs = 0; atMs < 8000; atMs += poissonGapMs(random, perSecond)) {
    const id = requests.length;
    const prompt: PromptPart[] = [
      { role: "user", seed: `question ${id}`, tokens: Math.round(meanTokens * (0.5 + random())) },
    ];
    requests.push({ id, tag: "new", atMs, model: "m", prompt, maxTokens: 10 + Math.floor(40 * random()) });
  }
  await compareArms(context, {
    workload: "W5",
    title: `no reuse, ${requests.length} requests, ${INSTANCES} instances`,
    facts: { instances: INSTANCES, goal: "p50 ≤ 1.05" },
    run: async (policy) => ({ ...(await underPolicy(policy, { slots: 8, contextTokens: 8192 }, requests)).all }),
  });
}
