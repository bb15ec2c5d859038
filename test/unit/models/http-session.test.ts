import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { httpSession } from "../../../src/models/pull/http-session.ts";
import { quick } from "../../support/store.ts";

test.each(["http://10.0.0.1/x", "http://[::ffff:127.0.0.1]/x", "http://[2002:7f00:1::]/x", "http://localhost/x"])(
  "a redirect to %s is not followed",
  async (location) => {
    // As a proxy it answers for any host, so that a public one can redirect.
    const asked: (string | undefined)[] = [];
    const proxy = createServer(({ url }, response) => {
      asked.push(url);
      response.writeHead(302, { location }).end();
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const env = { http_proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    const signal = new AbortController().signal;
    try {
      await using session = httpSession(
        { env, timing: quick, signal, expected: { bytes: null, sha256: null } },
        { allowPrivate: false, bearer: null },
      );
      await expect(session.get(new URL("http://files.example/x"), {})).rejects.toMatchObject({
        code: "ERR_PRIVATE_ADDRESS",
      });
      expect(asked).toEqual(["http://files.example/x"]);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  },
);
