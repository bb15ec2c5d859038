/** A worker that costs next to nothing: it answers any POST with a text of stated length. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { reportArm } from "../lib/arm.ts";

const TEXT = "Hello! How can I help you today?";

const server = createServer((request, response) => {
  request.resume();
  request.on("end", () => {
    if (request.url === "/health") response.writeHead(204).end();
    else response.writeHead(200, { "content-type": "text/plain", "content-length": TEXT.length }).end(TEXT);
  });
});
server.listen(0, "127.0.0.1", () => reportArm((server.address() as AddressInfo).port));
