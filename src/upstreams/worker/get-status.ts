import { get } from "node:http";
import { requestOptions } from "../../core/endpoint.ts";
import { workerAddress } from "./form-upstream.ts";

/** What a worker answers to a GET: its status, or why there is none. Never rejects. */
export const getStatus = (url: string, timeoutMs: number): Promise<number | NodeJS.ErrnoException> =>
  new Promise((resolve) => {
    const { endpoint, host, path } = workerAddress(url);
    const request = get({ ...requestOptions(endpoint), path, headers: { host }, agent: false }, (response) => {
      // Nobody reads what it says.
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    // Not the library's own, which waits for silence: a head may come byte by byte for ever.
    const tooLong = Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" });
    const timer = setTimeout(() => request.destroy(tooLong), timeoutMs);
    request.on("error", resolve);
    request.on("close", () => clearTimeout(timer));
  });
