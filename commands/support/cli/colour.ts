/** Whether text on a stream is coloured: on a terminal that has colours and whose user has not set `NO_COLOR`. */
export const showsColour = (
  stream: Pick<NodeJS.WriteStream, "isTTY"> & Partial<Pick<NodeJS.WriteStream, "hasColors">>,
): boolean => stream.isTTY === true && stream.hasColors?.() === true;
