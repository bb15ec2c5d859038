const MIB = 2 ** 20;

/** Bodies that are big and broken, by what makes them so: reading one must not hold up other requests. */
export const attacks: Readonly<Record<string, () => string>> = {
  "60 MiB of [": () => "[".repeat(60 * MIB),
  "60 MiB of newlines": () => "\n".repeat(60 * MIB),
  "200,000 open arrays": () => `{"messages":[],"x":${"[".repeat(200_000)}`,
  "a million half surrogate pairs": () => `{"a":"${"\\ud800".repeat(MIB)}`,
  "a million equal keys": () => `{${'"a":1,'.repeat(MIB)}`,
};
