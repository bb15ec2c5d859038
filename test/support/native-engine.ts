/**
 * Lines of config.toml that point an installation at the native engine the test run has built
 * (`ASSISTANT_TEST_LLAMA_SERVER`, set by test/run.sh).
 */
export function nativeEngineConfig(): string {
  return `[engine]\nllama_server_path = "${nativeEngineFile()}"\n`;
}

export function nativeEngineFile(): string {
  const binary = process.env["ASSISTANT_TEST_LLAMA_SERVER"];
  if (!binary)
    throw new Error(
      "ASSISTANT_TEST_LLAMA_SERVER names no llama-server; run the tests with `npm test`, which builds one",
    );
  return binary;
}
