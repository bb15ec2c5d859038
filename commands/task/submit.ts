import { Args, Flags } from "@oclif/core";
import type { TaskView } from "../../src/api/tasks.ts";
import { taskClient } from "../../src/client/task-client.ts";
import { AssistantError } from "../../src/core/errors.ts";
import { BaseCommand } from "../support/cli/base-command.ts";
import { jsonFile } from "../support/cli/json-file.ts";
import { temperatureOf } from "../support/run/options.ts";

export default class TaskSubmit extends BaseCommand {
  static override strict = false;
  static override usage = "task submit MODEL PROMPT...";
  static override summary = "Submit a task: a request that is answered later";
  static override description =
    "Prints the task's id as soon as the task is stored; it survives restarts of the daemon. " +
    "`assistant task wait` prints its answer.";
  static override examples = [
    { description: "Submit one", command: '<%= config.bin %> task submit smollm2 "Name three rivers."' },
    {
      description: "Tonight, with a webhook",
      command:
        '<%= config.bin %> task submit smollm2 "Name three rivers." --run-at 2026-12-01T02:00:00Z --webhook https://example.org/done',
    },
  ];
  static override args = {
    model: Args.string({ description: "name or alias of the model", required: true }),
    prompt: Args.string({ description: "prompt; several words need no quotes", required: true }),
  };
  static override flags = {
    system: Flags.string({ helpValue: "TEXT", description: "system message" }),
    conversation: Flags.string({
      helpValue: "ID",
      description: "conversation to continue; the answer is added to it (see `assistant conversation`)",
    }),
    "no-save": Flags.boolean({ dependsOn: ["conversation"], description: "do not add the answer to the conversation" }),
    schema: Flags.string({ helpValue: "FILE", description: "JSON Schema that the answer must match" }),
    seed: Flags.integer({ min: 0, description: "random seed" }),
    temperature: Flags.string({
      helpValue: "NUMBER",
      description: "sampling temperature (default: the model's, else 0.1)",
    }),
    "max-tokens": Flags.integer({
      min: 1,
      description: "maximum length of the answer in tokens (default: the model's, else 2048)",
    }),
    priority: Flags.integer({ min: 0, max: 100, description: "higher first (default: 0)" }),
    "run-at": Flags.string({ helpValue: "TIME", description: "earliest start, an RFC 3339 time" }),
    fallback: Flags.string({
      multiple: true,
      helpValue: "MODEL",
      description: "model to use if the first one cannot answer; repeatable",
    }),
    webhook: Flags.string({ helpValue: "URL", description: "URL to send the result to" }),
    key: Flags.string({ helpValue: "TEXT", description: "idempotency key: repeating it returns the same task" }),
    "max-attempts": Flags.integer({ min: 1, max: 100, description: "maximum number of attempts" }),
  };

  async run(): Promise<TaskView> {
    const { argv, flags } = await this.parse(TaskSubmit);
    const [model, ...words] = argv as string[];
    if (words.length === 0) throw new AssistantError("usage", "The prompt is missing.");
    const temperature = temperatureOf(flags.temperature);
    const prompt = words.join(" ");
    const schema = flags.schema === undefined ? undefined : await jsonFile("--schema", flags.schema);
    const task = await taskClient(this.context(flags).paths).submit({
      model,
      ...(flags.system === undefined
        ? { prompt }
        : {
            messages: [
              { role: "system", content: flags.system },
              { role: "user", content: prompt },
            ],
          }),
      ...(temperature === null ? {} : { temperature }),
      conversation_id: flags.conversation,
      save_to_conversation: flags["no-save"] ? false : undefined,
      output_schema: schema,
      seed: flags.seed,
      max_tokens: flags["max-tokens"],
      priority: flags.priority,
      run_at: flags["run-at"],
      fallback_models: flags.fallback,
      webhook_url: flags.webhook,
      idempotency_key: flags.key,
      max_attempts: flags["max-attempts"],
    });
    this.log(task.task_id);
    return task;
  }
}
