/** A place on a worker that is kept for one chat. Ids are what the client wrote, numbers or texts. */
export interface Reservation {
  readonly name: string;
  /** The owner of the reservation. Others can neither use nor release it. */
  readonly tenant: string;
  readonly historyId: string | number;
  readonly userId: string | number;
  /** Epoch milliseconds; then the place is free again, unless it is in use. */
  readonly expiresAt: number;
}

/** The reservations of a chat. */
export interface ReservationQuery {
  readonly historyId: string | number;
  /** Null: of whichever user. */
  readonly userId: string | number | null;
  /** Null: of whichever tenant. */
  readonly owner: string | null;
}

/** For a client that names no user, and in `debug` for a place without a reservation. */
export const NOBODY = -1;

/** The same for equal ids, however they were written: a form only has strings. */
export const reservationKey = ({ name, tenant, historyId, userId }: Omit<Reservation, "expiresAt">): string =>
  JSON.stringify([name, tenant, String(historyId), String(userId)]);
