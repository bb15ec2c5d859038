import type { ErrorCode } from "../core/errors.ts";

/**
 * What a daemon that was spawned with an IPC channel tells its parent, exactly once; the parent disconnects then.
 * A daemon without a channel (systemd, a shell) sends nothing.
 */
export type HandshakeMessage = ReadyMessage | FailedMessage;

/** The sockets are bound and requests are answered. */
export interface ReadyMessage {
  readonly type: "ready";
  /** Where OpenAI clients connect, without `/v1`; null when HTTP is switched off. */
  readonly url: string | null;
  readonly pid: number;
}

/** The start was given up; the process ends right after. */
export interface FailedMessage {
  readonly type: "failed";
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly remedy: string | null };
}

/** Tells a handshake from whatever else may arrive on the channel. */
export const isHandshakeMessage = (message: unknown): message is HandshakeMessage => {
  const type = typeof message === "object" && message !== null ? (message as { type?: unknown }).type : null;
  return type === "ready" || type === "failed";
};
