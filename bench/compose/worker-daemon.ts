/** The whole daemon, as `serve` starts it, with the stub worker registered as `stub`; its key may register others. */
import { createHash } from "node:crypto";
import { installAssistant } from "../../test/support/assistant.ts";
import { serveAsArm } from "../lib/daemon-arm.ts";

const { key, endpoint } = JSON.parse(process.argv[2] ?? "{}") as { key: string; endpoint: string };

const sha256 = createHash("sha256").update(key).digest("hex");
const assistant = await installAssistant({
  config: `[[server.api_key_sha256]]\nname = "bench"\nsha256 = "${sha256}"\nscopes = ["inference", "worker", "admin"]\n`,
});
await serveAsArm(assistant, async ({ url }) => {
  const answer = await fetch(`${url}/v1.0/worker/register`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ name: "stub", endpoint, slots: 64 }),
  });
  if (answer.status !== 201) throw new Error(`the stub could not be registered: ${await answer.text()}`);
});
