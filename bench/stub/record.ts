/** What `GET /__record` tells a workload of one engine process. */
export interface StubRecord {
  readonly pid: number;
  /** Inference requests that were read. */
  requests: number;
  completed: number;
  /** Left by their client before the end. */
  aborted: number;
  tokens: number;
  /** Prompt tokens computed, and those found in a cache. */
  prefillTokens: number;
  cachedTokens: number;
  maxConcurrent: number;
  inFlight: number;
  /** Most milliseconds that a step ended after its time: the machine was too busy for what it simulates. */
  latestMs: number;
  /** Steps, and those that ended over 10 ms late. */
  steps: number;
  lateSteps: number;
}

export const newRecord = (pid: number): StubRecord => ({
  pid,
  requests: 0,
  completed: 0,
  aborted: 0,
  tokens: 0,
  prefillTokens: 0,
  cachedTokens: 0,
  maxConcurrent: 0,
  inFlight: 0,
  latestMs: 0,
  steps: 0,
  lateSteps: 0,
});
