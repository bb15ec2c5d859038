import { describe, expect, test } from "vitest";
import { errorFromBody, explain } from "../../../src/client/unix-http.ts";
import { isAssistantError } from "../../../src/core/errors.ts";

describe("errors of the daemon on this side of the wire", () => {
  test("code, message, field and remedy survive", () => {
    const body = {
      error: {
        message: "No such model.",
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
        remedy: "Look.",
      },
    };
    expect(errorFromBody(404, JSON.stringify(body))).toMatchObject({
      code: "model_not_found",
      message: "No such model.",
      param: "model",
      remedy: "Look.",
      exitCode: 4,
    });
  });

  test("a code that this version does not know is internal, and its sentence stays", () => {
    const body = { error: { message: "From the future.", type: "x", param: null, code: "toString" } };
    expect(errorFromBody(500, JSON.stringify(body))).toMatchObject({ code: "internal", message: "From the future." });
  });

  test.each(["", "<html>", "null", '{"error":7}'])("a body that is no error (%j) is told with its status", (body) => {
    expect(errorFromBody(502, body)).toMatchObject({ code: "internal", message: expect.stringContaining("502") });
  });

  test("connections that fail say what that means", () => {
    const failed = (code: string) => explain(Object.assign(new Error(code), { code }), "/run/a.sock");
    for (const code of ["ENOENT", "ECONNREFUSED", "ECONNRESET"])
      expect(failed(code)).toMatchObject({ code: "daemon_not_running", exitCode: 3 });
    expect(failed("EACCES").message).toContain("another user");
    expect(isAssistantError(failed("EOTHER"))).toBe(false);
  });
});
