import { AssistantError } from "../../../src/core/errors.ts";

/** The value of `--temperature`; null where it was not given. Throws `usage`. */
export function temperatureOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new AssistantError("usage", `--temperature: expected a number of at least 0, found "${text}".`, {
    param: "temperature",
  });
}
