/** The least a Node gateway can be: node:http, JSON.parse of the body, undici's dispatch over kept connections. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";
import { reportArm } from "../lib/arm.ts";

const settings = JSON.parse(process.argv[2] ?? "{}") as { socketPath?: string; origin?: string };
const pool = new Pool(settings.origin ?? "http://localhost", {
  ...(settings.socketPath === undefined ? {} : { socketPath: settings.socketPath }),
  connections: 256,
  pipelining: 1,
  headersTimeout: 0,
  bodyTimeout: 0,
});

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    JSON.parse(body.toString());
    pool.dispatch(
      { path: request.url ?? "/", method: "POST", headers: { "content-type": "application/json" }, body },
      {
        onRequestStart() {},
        onResponseStart(_controller, status, headers) {
          const { "content-type": type, "content-length": length } = headers;
          response.writeHead(status, {
            ...(type ? { "content-type": String(type) } : {}),
            ...(length ? { "content-length": String(length) } : {}),
          });
        },
        onResponseData(controller, chunk) {
          if (!response.write(chunk)) {
            controller.pause();
            response.once("drain", () => controller.resume());
          }
        },
        onResponseEnd() {
          response.end();
        },
        onResponseError(_controller, error) {
          response.destroy(error);
        },
      },
    );
  });
});
server.listen(0, "127.0.0.1", () => reportArm((server.address() as AddressInfo).port));
