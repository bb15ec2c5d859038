import { Flags } from "@oclif/core";
import type { BuildResult } from "../../src/engines/llama-server/build/build.ts";
import { buildStatusLine } from "../../src/engines/llama-server/build/status-line.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { EXIT_INTERRUPTED, interruptible } from "../support/cli/interrupt.ts";
import { showProgress } from "../support/cli/progress.ts";

type Outcome = BuildResult | { readonly started: boolean; readonly reason: string | null } | { cancelled: boolean };

export default class EngineBuild extends BaseCommand {
  static override summary = "Build llama-server, the fast native engine, for this machine";
  static override description =
    "Compiles llama.cpp's server from the source included in the installation and links it against precompiled " +
    "libraries, which takes minutes on two cores. For an NVIDIA or AMD GPU the library for CUDA or Vulkan is " +
    "downloaded and checked; no nvcc is needed. Needs git, cmake, make or ninja, and a C++ compiler. " +
    "The new build is tested with a model, then used from each model's next start; " +
    "earlier builds are kept (`assistant engine list`). An interrupted build resumes where it stopped.";
  static override examples = [
    { description: "Build it", command: "<%= config.bin %> engine build" },
    { description: "Rebuild although nothing has changed", command: "<%= config.bin %> engine build --force" },
    {
      description: "Compile all of llama.cpp for this processor",
      command: "<%= config.bin %> engine build --from-source",
    },
    {
      description: "Build a second one without Assistant's patches, for comparison",
      command: "<%= config.bin %> engine build --stock",
    },
  ];
  static override flags = {
    force: Flags.boolean({ description: "rebuild even if the same build is installed" }),
    "from-source": Flags.boolean({
      description: "compile all of llama.cpp (with nvcc also its CUDA code) instead of using precompiled libraries",
    }),
    stock: Flags.boolean({
      description:
        "build without Assistant's patches, from source; installed next to the patched build and only used if " +
        "selected with `engine use`",
    }),
    gpu: Flags.boolean({ description: "build for the detected GPUs", default: true, allowNo: true }),
    jobs: Flags.integer({
      char: "j",
      min: 1,
      description: "parallel compile jobs (default: one per core, fewer if memory is short)",
    }),
    keep: Flags.boolean({ description: "keep the source and object files (about 600 MB)" }),
    background: Flags.boolean({
      description: "return at once and build at low priority, if there is no native engine yet",
      exclusive: ["force", "from-source", "stock", "jobs", "keep", "cancel"],
    }),
    cancel: Flags.boolean({ description: "cancel the background build" }),
  };

  async run(): Promise<Outcome> {
    const { flags } = await this.parse(EngineBuild);
    const context = this.context(flags);
    if (flags.background || flags.cancel) return this.#background(flags, context);
    const [{ buildLlamaServer }, { probeHardware }, { probeWith }] = await Promise.all([
      import("../../src/engines/llama-server/build/build.ts"),
      import("../../src/fleet/hardware.ts"),
      import("../support/engine/probe.ts"),
    ]);
    // The compilers get the terminal's Ctrl-C too; this makes the command wait for them and end with a sentence.
    using interrupt = interruptible();
    const silent = { write: () => true };
    const line = showProgress(this.jsonEnabled() ? silent : process.stderr, "Looking for compilers");
    let compileStartedMs: number | null = null;
    try {
      const hardware = await probeHardware(context.env);
      const result = await buildLlamaServer({
        enginesDir: context.paths.enginesDir,
        stock: flags.stock,
        fromSource: flags["from-source"],
        force: flags.force,
        keep: flags.keep,
        gpus: flags.gpu ? hardware.devices.map(({ vendor }) => vendor) : [],
        jobs: flags.jobs ?? null,
        signal: interrupt.signal,
        probe: probeWith(context, hardware, interrupt.signal),
        onProgress: (progress) => {
          if (progress.phase === "compile") compileStartedMs ??= progress.elapsedMs;
          line.update(buildStatusLine(progress, compileStartedMs));
        },
      });
      line.stop();
      this.#print(result, flags.stock);
      return result;
    } catch (error) {
      line.stop();
      if (!interrupt.signal.aborted) throw error;
      this.say("Interrupted. `assistant engine build` resumes from here.");
      this.exit(EXIT_INTERRUPTED);
    }
  }

  async #background(
    { cancel, gpu }: { readonly cancel: boolean; readonly gpu: boolean },
    context: ReturnType<BaseCommand["context"]>,
  ): Promise<Outcome> {
    const { cancelBackground, startInBackground } = await import("../support/engine/start-background.ts");
    if (cancel) {
      const ended = await cancelBackground(context);
      this.log(ended.cancelled ? "Cancelled the background build." : "No build is running in the background.");
      return ended;
    }
    const { started, reason } = await startInBackground(context, { gpu });
    this.log(
      started
        ? "Building the native engine in the background; `assistant engine list` shows how far it is."
        : `No build was started. ${reason}`,
    );
    return { started, reason };
  }

  #print({ version, path, manifest, built }: BuildResult, stock: boolean): void {
    const { sourceTag, backends, buildSeconds, builtAt } = manifest;
    const what = `llama-server ${sourceTag} (${backends.join(", ")}${stock ? ", without patches" : ""})`;
    if (!built) this.log(`${what} is already installed, built ${builtAt}: ${path}\n\`--force\` rebuilds it.`);
    else this.log(`Built ${what} in ${buildSeconds} s: ${path}`);
    if (stock) this.log(`\`assistant engine use ${version}\` selects it.`);
    else if (built) this.log('Models with engine = "auto" use it from their next start.');
  }
}
