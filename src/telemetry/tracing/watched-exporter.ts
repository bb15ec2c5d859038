import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";

export interface ExportLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** An exporter whose failures are in the log: one line when they begin, one when they are over. */
export class WatchedExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #name: string;
  readonly #log: ExportLog;
  /** Spans that were lost since it last took some; null: it takes them. */
  #lost: number | null = null;

  /** `name`: whom it sends to, for the log. */
  constructor(exporter: SpanExporter, name: string, log: ExportLog) {
    this.#exporter = exporter;
    this.#name = name;
    this.#log = log;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      this.#note(spans.length, result);
      // The span processor could not do anything about it, and would report it again.
      done({ code: ExportResultCode.SUCCESS });
    });
  }

  async shutdown(): Promise<void> {
    await this.#exporter.shutdown();
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }

  #note(count: number, { code, error }: ExportResult): void {
    if (code === ExportResultCode.SUCCESS) {
      if (this.#lost !== null)
        this.#log.info({ to: this.#name, lostSpans: this.#lost }, "the collector accepts traces again");
      this.#lost = null;
      return;
    }
    if (this.#lost === null)
      this.#log.warn({ to: this.#name, error: error?.message }, "traces are lost until the collector responds");
    this.#lost = (this.#lost ?? 0) + count;
  }
}
