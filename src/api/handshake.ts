import type { ErrorCode } from "../core/errors.ts";

/**
 * The message of a daemon that was spawned with an IPC channel to its parent, sent exactly once; the parent disconnects
 * then. A daemon without a channel (systemd, a shell) sends nothing.
 */
export type HandshakeMessage = ReadyMessage | FailedMessage;

/** The sockets are bound and requests are answered. */
export interface ReadyMessage {
  readonly type: "ready";
  /** Base URL for OpenAI clients, without `/v1`; null if HTTP is disabled. */
  readonly url: string | null;
  readonly pid: number;
}

/** The start failed; the process exits right after. */
export interface FailedMessage {
  readonly type: "failed";
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly remedy: string | null };
}

/** Distinguishes a handshake from other messages on the channel. */
export const isHandshakeMessage = (message: unknown): message is HandshakeMessage => {
  const type = typeof message === "object" && message !== null ? (message as { type?: unknown }).type : null;
  return type === "ready" || type === "failed";
};
