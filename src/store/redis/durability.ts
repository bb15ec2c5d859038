import type { RedisCommands } from "./connection.ts";

const SETTINGS = ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"];

/** What of the server's settings lets acknowledged writes be lost, one sentence each. */
export async function durabilityProblems(connection: RedisCommands): Promise<string[]> {
  const { location } = connection;
  const found = await connection.command("CONFIG", "GET", ...SETTINGS).then(settingsOf, () => null);
  if (found === null)
    return [
      `${location} does not allow its settings to be read, so it is unknown whether acknowledged writes survive a crash: that requires \`appendonly yes\` and \`appendfsync always\`.`,
    ];
  const problems: string[] = [];
  const fix = "set `appendonly yes` and `appendfsync always`";
  if (found.get("appendonly") !== "yes")
    problems.push(`${location} only keeps changes in memory between snapshots: a crash loses tasks; ${fix}.`);
  else if (found.get("appendfsync") !== "always")
    problems.push(
      `${location} writes changes to disk with \`appendfsync ${found.get("appendfsync")}\`: a power failure loses the last of them; ${fix}.`,
    );
  const policy = found.get("maxmemory-policy") ?? "noeviction";
  if (Number(found.get("maxmemory")) > 0 && policy !== "noeviction")
    problems.push(
      `${location} deletes records when its memory is full (\`maxmemory-policy ${policy}\`); set \`maxmemory-policy noeviction\`.`,
    );
  return problems;
}

/** Pairs in a list, or an object where the protocol has maps. */
function settingsOf(answer: unknown): Map<string, string> {
  if (!Array.isArray(answer)) return new Map(Object.entries(answer as Record<string, string>));
  const settings = new Map<string, string>();
  for (let at = 0; at + 1 < answer.length; at += 2) settings.set(String(answer[at]), String(answer[at + 1]));
  return settings;
}
