/** How a connection to a broker is made, and made again where it breaks: one that is back is noticed within seconds. */
export const rabbitOptions = (url: string) =>
  ({ url, acquireTimeout: CONNECT_MS, retryLow: 500, retryHigh: 5_000 }) as const;

export const CONNECT_MS = 10_000;
