import { expect, test } from "vitest";
import { isAssistantError } from "../../../src/core/errors.ts";
import { bearerDoor } from "../../../src/gateway/front/error-body.ts";
import { RouteTable } from "../../../src/gateway/front/table.ts";
import { parseTarget } from "../../../src/gateway/front/target.ts";

const door = { ...bearerDoor, name: "test" };
const table = new RouteTable();
for (const [method, path] of [
  ["POST", "/v1/chat"],
  ["GET", "/v1/models"],
  ["GET", "/v1/models/*"],
  ["DELETE", "/v1/models/*"],
  ["GET", "/requests/:id"],
] as const)
  table.add(method, path, { door, scope: "inference", inference: null, describe: null });

const methods = (target: string): string[] | null => {
  const found = table.find(parseTarget(target));
  return found === undefined ? null : [...found.keys()];
};

test.each([
  ["/v1/chat", ["POST"]],
  ["/v1/chat/", ["POST"]],
  ["/v1/chat?x=1//2", ["POST"]],
  ["//v1///chat", ["POST"]],
  ["http://127.0.0.1:8080/v1/chat?x=1", ["POST"]],
  ["HTTP://host//v1/chat", ["POST"]],
  ["/v1/%63hat", ["POST"]],
  ["/v1%2Fchat", null],
  ["/v1/models/a", ["GET", "DELETE"]],
  ["/v1/models/org/model", ["GET", "DELETE"]],
  ["/v1/models/org%2Fmodel", ["GET", "DELETE"]],
  ["/requests/a", ["GET"]],
  ["/requests/a%2Fb", ["GET"]],
  ["/requests/a/b", null],
  ["/requests/", null],
  ["/v1/chat/x", null],
  ["/v2/chat", null],
  ["", null],
  ["*", null],
])("%s leads to %j", (target, expected) => {
  expect(methods(target)).toEqual(expected);
});

test.each(["/v1/%zz", "/%", "/%ff"])("%s is refused as a broken escape, not as a fault of ours", (target) => {
  try {
    parseTarget(target);
    expect.unreachable();
  } catch (error) {
    expect(isAssistantError(error) && error.code).toBe("invalid_request");
  }
});

test.each([
  ["/api/v1/nope", "sop"],
  ["/api/v1/models/a/nope", "sop"],
  ["/api/nope", "ollama"],
  ["/v1/nope", "openai"],
  ["/v1/messages/nope", "anthropic"],
  ["/v2/models/a/nope", "kserve"],
  ["/nope", null],
  ["/", null],
])("%s was meant for %s", (path, name) => {
  const doors = new RouteTable();
  for (const [door, route] of [
    ["openai", "/v1/chat/completions"],
    ["openai", "/v1/models"],
    ["sop", "/api/v1/models"],
    ["ollama", "/api/chat"],
    ["anthropic", "/v1/messages"],
    ["kserve", "/v2/models/:name/infer"],
  ] as const)
    doors.add("POST", route, {
      door: { ...bearerDoor, name: door },
      scope: "inference",
      inference: null,
      describe: null,
    });
  expect(doors.nearest(path)?.name ?? null).toBe(name);
});
