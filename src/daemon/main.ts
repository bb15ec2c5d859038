import { keepCompiledCode } from "../core/package.ts";

/** The program that `serve` starts in the background. */
keepCompiledCode();
// Only what is imported from here on comes from the cache.
const [{ readEnvironment }, { toAssistantError }, { runDaemon }] = await Promise.all([
  import("../config/environment.ts"),
  import("../core/errors.ts"),
  import("./run.ts"),
]);
try {
  await runDaemon({ env: readEnvironment(), foreground: false });
  process.exit(0);
} catch (error) {
  const failure = toAssistantError(error);
  console.error(failure.code === "internal" ? failure.cause : failure.message);
  // Not process.exit at once: the message to the parent may still be on its way.
  process.exitCode = failure.exitCode;
  process.disconnect?.();
}
