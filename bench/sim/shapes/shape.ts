import { seededRandom } from "../../../test/support/random.ts";

/** How a number of conversations go on: everything that is chosen at random of a workload. Lengths are tokens. */
export interface Shape {
  readonly name: string;
  readonly conversations: number;
  /** Requests at the same time; a client sends its next one as soon as it has its answer. */
  readonly atOnce: number;
  readonly turns: number;
  /** What all conversations begin with. */
  readonly shared: number;
  readonly firstMessage: number;
  readonly laterMessage: number;
  readonly answer: number;
  readonly replicas: number;
  /** UTF-8 bytes of a token: the scheduler counts bytes, the engine tokens. */
  readonly bytesPerToken: number;
  readonly seed: number;
}

/** Twelve conversations, two at a time, in another order each round, on two replicas. */
export const twelveByTwo = (seed: number): Shape => ({
  name: "twelve by two",
  conversations: 12,
  atOnce: 2,
  turns: 5,
  shared: 200,
  firstMessage: 200,
  laterMessage: 52,
  answer: 12,
  replicas: 2,
  bytesPerToken: 5.5,
  seed,
});

const MIN_TURNS = 3;
const MAX_TURNS = 8;
/** Draws for one shape; limits that hardly any keeps are a mistake. */
const MAX_DRAWS = 10_000;

/** What one run may ask of the engines; shapes beyond it are drawn again. */
export interface ShapeLimits {
  /** Tokens of a conversation with its last answer. */
  readonly contextTokens: number;
  /** Tokens of prompts and answers that must be computed in the whole run. Default: no limit. */
  readonly workTokens?: number;
  readonly maxReplicas?: number;
}

/** Shapes of a seed, one after the other: the same list for the same seed and limits, however many are taken. */
export function randomShapes(seed: number, count: number, limits: ShapeLimits): Shape[] {
  const random = seededRandom(seed);
  const shapes: Shape[] = [];
  for (let draws = 0; shapes.length < count; draws++) {
    if (draws >= MAX_DRAWS * count)
      throw new Error(`hardly any shape keeps within these limits: ${JSON.stringify(limits)}`);
    const shape = drawn(random, `${seed}.${shapes.length + 1}`, seed * 1000 + shapes.length, limits);
    if (shape !== null) shapes.push(shape);
  }
  return shapes;
}

function drawn(random: () => number, name: string, seed: number, limits: ShapeLimits): Shape | null {
  const between = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  /** Every order of magnitude as often as any other: half of the lengths would else be more than a thousand. */
  const magnitude = (least: number, most: number): number => Math.round(least * (most / least) ** random());
  const shape = {
    name,
    conversations: between(4, 24),
    atOnce: between(1, 6),
    shared: random() < 0.25 ? 0 : magnitude(20, 6000),
    firstMessage: magnitude(20, 2000),
    laterMessage: magnitude(20, 2000),
    answer: magnitude(8, 200),
    replicas: Math.min(between(1, 4), limits.maxReplicas ?? 4),
    bytesPerToken: 2.5 + 4 * random(),
    seed,
  };
  const begun = shape.shared + shape.firstMessage + shape.answer;
  let turns = Math.min(MAX_TURNS, 1 + Math.floor((limits.contextTokens - begun) / (shape.laterMessage + shape.answer)));
  // Fewer turns rather than none of the shapes with many conversations.
  while (turns >= MIN_TURNS && workOf({ ...shape, turns }) > (limits.workTokens ?? Number.POSITIVE_INFINITY))
    turns -= 1;
  return turns < MIN_TURNS ? null : { ...shape, turns };
}

/** Tokens that must be computed at the least; one of an answer counts for two of a prompt. */
export function workOf({ conversations, turns, shared, firstMessage, laterMessage, answer, replicas }: Shape): number {
  return replicas * shared + conversations * (firstMessage + (turns - 1) * laterMessage + 2 * turns * answer);
}

/** Which conversation has the next turn, in order: all of them in every round, in another order each round. */
export function turnOrder({ conversations, turns, seed }: Shape): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: turns }, () => shuffled(conversations, random)).flat();
}

function shuffled(count: number, random: () => number): number[] {
  const list = Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1));
    [list[index], list[other]] = [list[other] as number, list[index] as number];
  }
  return list;
}
