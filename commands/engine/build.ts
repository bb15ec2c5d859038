import { Flags } from "@oclif/core";
import { type BuildResult, buildLlamaServer } from "../../src/engines/llama-server/build/build.ts";
import { buildStatusLine } from "../../src/engines/llama-server/build/status-line.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { EXIT_INTERRUPTED, interruptible } from "../support/cli/interrupt.ts";
import { showProgress } from "../support/cli/progress.ts";

export default class EngineBuild extends BaseCommand {
  static override summary = "Build llama-server, the fast native engine, for this machine";
  static override description =
    "Compiles the llama.cpp source that is part of the installation; nothing is downloaded. Takes about five minutes on two cores. " +
    "Needs git, cmake, make or ninja, and a C++ compiler; uses CUDA if nvcc and an NVIDIA GPU are found. " +
    "An interrupted build resumes where it stopped.";
  static override examples = [
    { description: "Build it", command: "<%= config.bin %> engine build" },
    { description: "Rebuild although nothing has changed", command: "<%= config.bin %> engine build --force" },
    {
      description: "Build a second one without Assistant's patches, for comparison",
      command: "<%= config.bin %> engine build --stock",
    },
  ];
  static override flags = {
    force: Flags.boolean({ description: "rebuild even if the same build is installed" }),
    stock: Flags.boolean({
      description:
        "leave out Assistant's patches; installed beside the patched build and only used if chosen with `engine use`",
    }),
    cuda: Flags.boolean({ description: "use CUDA if it is found", default: true, allowNo: true }),
    jobs: Flags.integer({
      char: "j",
      min: 1,
      description: "parallel compile jobs (default: one per core, fewer if memory is short)",
    }),
    keep: Flags.boolean({ description: "keep the source and object files (about 600 MB)" }),
  };

  async run(): Promise<BuildResult> {
    const { flags } = await this.parse(EngineBuild);
    const { paths } = this.context(flags);
    // The compilers get the terminal's Ctrl-C too; this makes the command wait for them and end with a sentence.
    using interrupt = interruptible();
    const silent = { write: () => true };
    const line = showProgress(this.jsonEnabled() ? silent : process.stderr, "Looking for compilers");
    let compileStartedMs: number | null = null;
    try {
      const result = await buildLlamaServer({
        enginesDir: paths.enginesDir,
        stock: flags.stock,
        force: flags.force,
        keep: flags.keep,
        cuda: flags.cuda,
        jobs: flags.jobs ?? null,
        signal: interrupt.signal,
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

  #print({ path, manifest, built }: BuildResult, stock: boolean): void {
    const { sourceTag, backends, buildSeconds, builtAt } = manifest;
    const what = `llama-server ${sourceTag} (${backends.join(", ")}${stock ? ", without patches" : ""})`;
    if (!built) this.log(`${what} is already installed, built ${builtAt}: ${path}\n\`--force\` rebuilds it.`);
    else this.log(`Built ${what} in ${buildSeconds} s: ${path}`);
    if (built && !stock) this.log('Models with engine = "auto" use it from the next start of the daemon.');
  }
}
