import { get } from "node:http";
import { requestOptions } from "../../core/endpoint.ts";
import { workerAddress } from "./form-upstream.ts";

/** What a worker answers to a GET: its status, or why there is none. Never rejects. */
export const getStatus = (url: string, timeoutMs: number): Promise<number | NodeJS.ErrnoException> =>
  new Promise((resolve) => {
    const { endpoint, host, path } = workerAddress(url);
    // The library's own time-out waits for silence: a head may come byte by byte for ever.
    const late = setTimeout(
      () => request.destroy(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" })),
      timeoutMs,
    );
    const request = get({ ...requestOptions(endpoint), path, headers: { host }, agent: false }, (response) => {
      // Nobody reads what it says.
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.on("error", resolve);
    request.on("close", () => {
      clearTimeout(late);
      // It wants another protocol, which is neither an answer nor an error to the library.
      resolve(new Error("no answer"));
    });
  });
