import type { StatusObject } from "@grpc/grpc-js";
import { failureKeys, type LoadedService } from "../../api/assistant-service.ts";
import { AssistantError, errorCatalogue } from "../../core/errors.ts";
import { retryAfterOf } from "../front/send-error.ts";

type Grpc = LoadedService["grpc"];
type Failure = Partial<StatusObject> & { readonly code: number };

/**
 * Whether an HTTP answer is told as a gRPC status: those by which the daemon refuses or fails. What a model or a route
 * answers (400, 404, …) is an answer like any other.
 */
export const isFailure = (httpStatus: number): boolean =>
  httpStatus === 401 || httpStatus === 403 || httpStatus === 429 || httpStatus >= 502;

/** A gRPC status with the error's code, remedy and time of return in its metadata. */
export function failureStatus(grpc: Grpc, error: AssistantError): Failure {
  const metadata = new grpc.Metadata();
  metadata.set(failureKeys.code, error.code);
  if (error.remedy !== null) metadata.set(failureKeys.remedy, printable(error.remedy));
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== null) metadata.set(failureKeys.retryAfter, retryAfter);
  return { code: codeOf(grpc, error), details: error.message, metadata };
}

function codeOf(grpc: Grpc, error: AssistantError): number {
  const { status } = grpc;
  switch (error.code) {
    case "queue_full":
    case "no_capacity":
    case "model_too_large":
      return status.RESOURCE_EXHAUSTED;
    case "missing_api_key":
    case "invalid_api_key":
      return status.UNAUTHENTICATED;
    case "deadline_exceeded":
      return status.DEADLINE_EXCEEDED;
    case "route_not_found":
      return status.PERMISSION_DENIED;
    case "digest_mismatch":
      return status.FAILED_PRECONDITION;
    case "internal":
      return status.INTERNAL;
    default:
      return codeOfStatus(grpc, error.status);
  }
}

function codeOfStatus({ status }: Grpc, httpStatus: number): number {
  switch (httpStatus) {
    case 403:
      return status.PERMISSION_DENIED;
    case 404:
      return status.NOT_FOUND;
    case 409:
      return status.FAILED_PRECONDITION;
    case 429:
      return status.RESOURCE_EXHAUSTED;
    default:
      return httpStatus < 500 ? status.INVALID_ARGUMENT : status.UNAVAILABLE;
  }
}

interface Body {
  readonly error?: { readonly code?: unknown; readonly message?: unknown; readonly remedy?: unknown };
}

/** The error that an answer of our own door carries. */
export function errorOf(httpStatus: number, body: string, retryAfter: string | undefined): AssistantError {
  let error: Body["error"];
  try {
    ({ error } = JSON.parse(body) as Body);
  } catch {
    error = undefined;
  }
  const code =
    typeof error?.code === "string" && Object.hasOwn(errorCatalogue, error.code)
      ? (error.code as keyof typeof errorCatalogue)
      : "engine_error";
  const message = typeof error?.message === "string" ? error.message : `The request failed with status ${httpStatus}.`;
  const seconds = Number(retryAfter);
  return new AssistantError(code, message, {
    ...(typeof error?.remedy === "string" ? { remedy: error.remedy } : {}),
    ...(seconds > 0 ? { retryAfterS: seconds } : {}),
  });
}

/** Metadata holds printable ASCII alone. */
const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, "?");
