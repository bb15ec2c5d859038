import { get } from "node:http";
import { requestOptions } from "../../core/endpoint.ts";
import { workerAddress } from "./form-upstream.ts";

/** What a worker answers to a GET: its status, or why there is none. Never rejects. */
export const getStatus = (url: string, timeoutMs: number): Promise<number | NodeJS.ErrnoException> =>
  new Promise((resolve) => {
    const { endpoint, host, path } = workerAddress(url);
    const request = get(
      { ...requestOptions(endpoint), path, headers: { host }, agent: false, timeout: timeoutMs },
      (response) => {
        // Nobody reads what it says.
        response.destroy();
        resolve(response.statusCode ?? 0);
      },
    );
    request.on("timeout", () => request.destroy(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" })));
    request.on("error", resolve);
  });
