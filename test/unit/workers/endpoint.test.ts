import { expect, test } from "vitest";
import { checkEndpoint } from "../../../src/workers/endpoint.ts";

const codeOf = (endpoint: string, isLocal: boolean, allowedHosts: string[] = []): string | null => {
  try {
    checkEndpoint(endpoint, { isLocal, allowedHosts });
    return null;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test.each([
  "http://127.0.0.1:9001/v1/completion",
  "http://localhost:9001/",
  "http://[::1]:1/x",
  "http://[::ffff:127.0.0.1]/",
])("a program of this machine may register %s, and nobody else", (endpoint) => {
  expect(codeOf(endpoint, true)).toBeNull();
  expect(codeOf(endpoint, false)).toBe("endpoint_not_allowed");
});

test.each([
  ["http://10.1.2.3:9001/", "10.0.0.0/8"],
  ["http://gpu.example.com/x", "gpu.example.com"],
  ["http://gpu.example.com/x", ".example.com"],
  ["http://[fd00::1]:1/", "fd00::/8"],
  ["http://anything/", "*"],
])("%s is allowed by %s alone", (endpoint, host) => {
  expect(codeOf(endpoint, true)).toBe("endpoint_not_allowed");
  expect(codeOf(endpoint, false, [host])).toBeNull();
});

test.each(["https://localhost/", "localhost:9001", "http://user:pw@localhost/", "http://localhost/#x", "file:///etc"])(
  "%s is no endpoint",
  (endpoint) => expect(codeOf(endpoint, true, ["*"])).toBe("invalid_request"),
);

test.each(["http://0.0.0.0:1/", "http://169.254.169.254/", "http://example.com.evil/"])(
  "%s needs a setting",
  (endpoint) => expect(codeOf(endpoint, true, ["example.com", ".example.com"])).toBe("endpoint_not_allowed"),
);
