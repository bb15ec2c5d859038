import { basename } from "node:path";
import type { DaemonStatus } from "../api/status.ts";
import { noticeText } from "../config/findings.ts";

type Notice = DaemonStatus["notices"][number];

/** `error: /etc/assistant/models/a.toml:3: chat.slots: …` */
export const noticeLine = (notice: Notice): string => `${notice.severity}: ${noticeText(notice)}`;

/** The same for a narrow line: the file without its directory. */
export const shortNoticeLine = (notice: Notice): string => noticeLine({ ...notice, file: basename(notice.file) });

/** Settings that require a restart of the daemon, or nothing. */
export const restartLines = (settings: readonly string[] | undefined): string[] =>
  settings === undefined || settings.length === 0
    ? []
    : [`${settings.join(", ")} changed: \`assistant restart\` applies ${settings.length === 1 ? "it" : "them"}`];
