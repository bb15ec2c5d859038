/** An object of the store, as it is passed by reference. */
export interface ObjectRef {
  /** Its path over HTTP. */
  readonly path: string;
  readonly key: string;
  readonly size: number;
  /** Seconds since 1970. */
  readonly created_at: number;
  /** Seconds since 1970; null: it stays until it is deleted. */
  readonly expires_at: number | null;
  readonly content_type: "bytes" | "json";
}

export interface ObjectPage {
  readonly objects: readonly ObjectRef[];
  /** The last key of this page; null on the last one. */
  readonly next: string | null;
}

export const OBJECTS_PATH = "/api/v1/objects";
