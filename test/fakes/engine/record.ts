/** What `GET /__record` tells a test. */
export interface EngineRecord {
  readonly pid: number;
  /** Inference requests that were read. */
  requests: number;
  /** Answered to the end. */
  completed: number;
  /** Left by their client before the end. */
  aborted: number;
  tokens: number;
  /** Tokens produced for a client that had gone. */
  tokensAfterAbort: number;
  /** Prompt tokens really evaluated, cached ones left out. */
  prefillTokens: number;
  maxConcurrent: number;
  /** Requests on the engine now, waiting ones included. */
  inFlight: number;
  /** The latest inference requests, newest last, as they arrived. */
  readonly bodies: string[];
  readonly headers: Record<string, unknown>[];
}

const KEPT = 50;

export class RecordBook {
  readonly data: EngineRecord = {
    pid: process.pid,
    requests: 0,
    completed: 0,
    aborted: 0,
    tokens: 0,
    tokensAfterAbort: 0,
    prefillTokens: 0,
    maxConcurrent: 0,
    inFlight: 0,
    bodies: [],
    headers: [],
  };

  arrived(body: string, headers: Record<string, unknown>): void {
    this.data.bodies.push(body);
    this.data.headers.push(headers);
    if (this.data.bodies.length > KEPT) {
      this.data.bodies.shift();
      this.data.headers.shift();
    }
  }

  began(): void {
    this.data.requests++;
    this.data.inFlight++;
  }

  occupied(active: number): void {
    this.data.maxConcurrent = Math.max(this.data.maxConcurrent, active);
  }

  prefilled(tokens: number): void {
    this.data.prefillTokens += tokens;
  }

  token(afterAbort: boolean): void {
    this.data.tokens++;
    if (afterAbort) this.data.tokensAfterAbort++;
  }

  completed(): void {
    this.data.completed++;
  }

  ended(aborted: boolean): void {
    this.data.inFlight--;
    if (aborted) this.data.aborted++;
  }
}
