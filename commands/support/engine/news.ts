import { backgroundNews } from "../../../src/engines/llama-server/build/background.ts";
import type { CommandContext } from "../cli/context.ts";
import { engineFolder } from "../stores.ts";

/** Says once how a build in the background has ended. What cannot be read or written is no reason to fail. */
export async function tellEngineNews({ paths }: CommandContext, say: (line: string) => void): Promise<void> {
  const news = await backgroundNews(engineFolder(paths).choices).catch(() => null);
  if (news !== null) say(news);
}
