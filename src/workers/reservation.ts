/** A place on a worker that is kept for one chat. Ids are what the client wrote, numbers or texts. */
export interface Reservation {
  readonly name: string;
  readonly historyId: string | number;
  readonly userId: string | number;
  /** Epoch milliseconds; then the place is free again, unless it is in use. */
  readonly expiresAt: number;
}

/** Of a client that names no user, and in `debug` of a place that nobody has reserved. */
export const NOBODY = -1;

/** The same for equal ids, however they were written: a form knows texts alone. */
export const reservationKey = ({ name, historyId, userId }: Omit<Reservation, "expiresAt">): string =>
  JSON.stringify([name, String(historyId), String(userId)]);
