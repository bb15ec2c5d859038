import { type IncomingMessage, request } from "node:http";
import { type Endpoint, requestOptions } from "../core/endpoint.ts";
import type { InstanceSnapshot } from "../core/instance.ts";

type Scraped = Pick<InstanceSnapshot, "id" | "model" | "state" | "endpoint">;

const TIMEOUT_MS = 1_000;
/** Longest page of one engine: ten times vLLM's. */
const MAX_PAGE_BYTES = 2 * 2 ** 20;

/**
 * The metrics that ready engines have of themselves (llama-server's `llamacpp:*`), in Prometheus' text format, each
 * sample with the labels `model` and `instance`. An engine that has none, does not answer within a second, or answers
 * with more than any real page, is left out.
 */
export async function engineMetrics(instances: readonly Scraped[]): Promise<string> {
  const pages = await Promise.all(
    instances.map(async ({ id, model, state, endpoint }) => {
      const page = state === "ready" && endpoint !== null ? await scrape(endpoint).catch(() => "") : "";
      return { page, labels: `model="${escaped(model)}",instance="${escaped(id)}"` };
    }),
  );
  return mergeMetrics(pages);
}

/** Pages as one: the text format wants all samples of a metric in one group, under one HELP and one TYPE. Pure. */
export function mergeMetrics(pages: readonly { readonly page: string; readonly labels: string }[]): string {
  const groups = new Map<string, { readonly comments: string[]; readonly samples: string[] }>();
  const group = (name: string) =>
    groups.get(name) ?? groups.set(name, { comments: [], samples: [] }).get(name) ?? { comments: [], samples: [] };
  for (const { page, labels } of pages) {
    for (const line of page.split("\n")) {
      const [, comment] = /^# (?:HELP|TYPE) (\S+)/u.exec(line) ?? [];
      const [, name, own, value] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S.*)$/u.exec(line) ?? [];
      if (comment !== undefined && !group(comment).comments.includes(line)) group(comment).comments.push(line);
      else if (name !== undefined) group(name).samples.push(`${name}{${labels}${own ? `,${own}` : ""}} ${value}`);
    }
  }
  return [...groups.values()]
    .flatMap(({ comments, samples }) => (samples.length === 0 ? [] : [...comments, ...samples, ""]))
    .join("\n");
}

const escaped = (label: string): string =>
  label.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

function scrape(endpoint: Endpoint): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { ...requestOptions(endpoint), path: "/metrics", agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) },
      (response) => {
        if (response.statusCode === 200) boundedText(response).then(resolve, reject);
        else {
          response.resume();
          resolve("");
        }
      },
    );
    outgoing.once("upgrade", (_, socket) => {
      socket.destroy();
      reject(new Error("another protocol than HTTP"));
    });
    outgoing.once("error", reject).end();
  });
}

/** Rejects where it is longer than any real page. */
async function boundedText(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let left = MAX_PAGE_BYTES;
  for await (const part of response as AsyncIterable<Buffer>) {
    left -= part.length;
    if (left < 0) throw new Error("the page is too long");
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
