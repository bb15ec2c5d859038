/**
 * Answers of Google's Gemini API, `streamGenerateContent` with `alt=sse`, in the form that its documentation gives:
 * - responses, finish reasons, usage: https://ai.google.dev/api/generate-content
 * - function calls: https://ai.google.dev/gemini-api/docs/function-calling
 * - thoughts and their signatures: https://ai.google.dev/gemini-api/docs/thinking and …/docs/thought-signatures
 * - embeddings: https://ai.google.dev/api/embeddings
 * - errors: https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193
 */

const MODEL = '"modelVersion":"gemini-2.5-flash","responseId":"QHiLaa6LBrb8vdIPoNztsAg"';
const counts = (candidates: number, thoughts = 0): string =>
  `"usageMetadata":{"promptTokenCount":40,"candidatesTokenCount":${candidates},"totalTokenCount":${40 + candidates + thoughts},"cachedContentTokenCount":16,"promptTokensDetails":[{"modality":"TEXT","tokenCount":40}]${thoughts > 0 ? `,"thoughtsTokenCount":${thoughts}` : ""}}`;

const event = (json: string): string => `data: ${json}\r\n\r\n`;

const chunk = (parts: string, usage: string, finish = ""): string =>
  event(
    `{"candidates":[{"content":{"parts":[${parts}],"role":"model"}${finish === "" ? "" : `,"finishReason":"${finish}"`},"index":0}],${usage},${MODEL}}`,
  );

const said = (text: string): string => `{"text":${JSON.stringify(text)}}`;
const thought = (text: string): string => `{"text":${JSON.stringify(text)},"thought":true}`;
const SIGNATURE = '"thoughtSignature":"EpEgCo4gAb4+9vvWwdN+NkNiCCwrqvFI8uf9IiD2A47Bm4Sga0kUTm4e"';

export const googleWire = {
  text:
    chunk(said("Rhine, "), counts(2)) + chunk(said("Elbe, "), counts(4)) + chunk(said("Oder 🌊"), counts(7), "STOP"),
  thinking:
    chunk(thought("Two cities, "), counts(0, 6)) +
    chunk(thought("so two names."), counts(0, 11)) +
    chunk(said("Paris and Rome."), counts(5, 11), "STOP"),
  /** Two calls in one answer, of which the first is signed. */
  tools:
    chunk(
      `{"functionCall":{"name":"get_weather","args":{"city":"Paris"},"id":"call-a"},${SIGNATURE}},{"functionCall":{"name":"get_weather","args":{"city":"Rome"},"id":"call-b"}}`,
      counts(15, 80),
    ) + chunk(said(""), counts(15, 80), "STOP"),
  toolWithoutArguments: chunk('{"functionCall":{"name":"list_rivers","id":"call-c"}}', counts(4), "STOP"),
  ended: (reason: string): string => chunk(said("Rhine"), counts(3), reason),
  endedAtOnce: (reason: string): string =>
    event(`{"candidates":[{"content":{},"finishReason":"${reason}","index":0}],${counts(0)},${MODEL}}`),
  blocked: event(
    `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9},${MODEL}}`,
  ),
  image: chunk('{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}', counts(1290), "STOP"),
  cutOff: chunk(said("Rhine"), counts(3)),
  halfEvent: chunk(said("Rhine"), counts(3)) + chunk(said(", Elbe"), counts(5)).slice(0, 60),
  /** The service breaks within a stream. */
  unavailableWithin:
    chunk(said("Rhine"), counts(3)) +
    event('{"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}'),
};

/** The body of an error answer. */
export const googleError = (code: number, status: string, message: string, details: readonly object[] = []): string =>
  JSON.stringify({ error: { code, message, status, ...(details.length === 0 ? {} : { details }) } }, null, 2);

export const retryInfo = (delay: string): object => ({
  "@type": "type.googleapis.com/google.rpc.RetryInfo",
  retryDelay: delay,
});

export const apiKeyInvalid: object = {
  "@type": "type.googleapis.com/google.rpc.ErrorInfo",
  reason: "API_KEY_INVALID",
  domain: "googleapis.com",
  metadata: { service: "generativelanguage.googleapis.com" },
};

export const googleEmbedding = (values: readonly number[]): string => JSON.stringify({ embedding: { values } });
export const googleEmbeddings = (vectors: readonly (readonly number[])[]): string =>
  JSON.stringify({ embeddings: vectors.map((values) => ({ values })) });
