import { readFile, writeFile } from "node:fs/promises";
import { Args, Flags } from "@oclif/core";
import type { PipelineFrame } from "../../src/api/pipelines.ts";
import { pipelineClient } from "../../src/client/pipeline-client.ts";
import { AssistantError } from "../../src/core/errors.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { interruptible } from "../support/cli/interrupt.ts";
import { showProgress } from "../support/cli/progress.ts";

export default class PipelineRun extends BaseCommand {
  static override strict = false;
  static override usage = "pipeline run NAME TEXT...";
  static override summary = "Run a pipeline and print its output";
  static override description = "Text is printed to standard output as it arrives; sound is written to files.";
  static override examples = [
    { description: "Text in, text out", command: '<%= config.bin %> pipeline run traditional "简体中文"' },
    {
      description: "Keep the sound: voice-1.wav, voice-2.wav, …",
      command: '<%= config.bin %> pipeline run assistant-voice "Name three rivers." --output voice.wav',
    },
  ];
  static override args = {
    name: Args.string({ description: "name of the pipeline", required: true }),
    text: Args.string({ description: "input text; several words need no quotes" }),
  };
  static override flags = {
    input: Flags.string({ helpValue: "FILE", description: "file to use as input, such as a recording" }),
    entry: Flags.integer({ min: 0, default: 0, description: "index of the stage to enter at" }),
    options: Flags.string({
      helpValue: "JSON",
      description: 'additional fields, such as \'{"TTS": {"voice": "anna"}}\'',
    }),
    output: Flags.string({ helpValue: "FILE", description: "name of the sound files, to which a number is added" }),
  };

  async run(): Promise<{ readonly frames: readonly PipelineFrame[] }> {
    const { argv, flags } = await this.parse(PipelineRun);
    const [name = "", ...words] = argv as string[];
    const body = {
      ...optionsOf(flags.options),
      user: "local",
      text: words.join(" "),
      Input: flags.input === undefined ? "" : (await readFile(flags.input)).toString("base64"),
      Entry: flags.entry,
    };
    using ending = interruptible();
    using progress = showProgress(process.stderr, `running ${name}`);
    const frames: PipelineFrame[] = [];
    const files: string[] = [];
    for await (const frame of pipelineClient(this.context(flags).paths).run(name, body, ending.signal)) {
      progress.stop();
      frames.push(frame);
      if (this.jsonEnabled()) continue;
      if (frame.type === "text") process.stdout.write(String(frame.chunk));
      else if (frame.type !== "audio/wav") this.log(JSON.stringify(frame.chunk));
      else if (flags.output !== undefined) {
        const file = flags.output.replace(/(\.\w+)?$/, `-${files.length + 1}$1`);
        files.push(file);
        await writeFile(file, Buffer.from(String(frame.chunk), "base64"));
      }
    }
    if (frames.some(({ type }) => type === "text")) this.log();
    if (files.length > 0) this.say(`wrote ${files.join(", ")}`);
    return { frames };
  }
}

function optionsOf(text: string | undefined): object {
  if (text === undefined) return {};
  try {
    const options: unknown = JSON.parse(text);
    if (typeof options === "object" && options !== null && !Array.isArray(options)) return options;
  } catch {}
  throw new AssistantError("usage", `--options must be a JSON object; found ${text.slice(0, 60)}.`);
}
