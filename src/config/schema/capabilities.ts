import { Type } from "../../core/schema.ts";
import { freeTable } from "./kit.ts";

/** A table of capabilities. */
export const capabilityTable = (description: string) =>
  freeTable(
    Type.Union([Type.String(), Type.Number(), Type.Boolean()], { patternText: "a string, a number, true or false" }),
    description,
    {
      pattern: "^[a-z][a-z0-9_.-]{0,63}$",
      keysText: "up to 64 lower-case letters, digits and _ . -, beginning with a letter",
    },
  );
