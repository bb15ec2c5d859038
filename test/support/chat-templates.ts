/** Chat templates in the manner of known models, small enough to read. */
const turns = (assistant: string): string =>
  `{% for m in messages %}{% if m.role == "assistant" and m.tool_calls %}${assistant}` +
  `{% elif m.role == "tool" %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|im_end|>\n` +
  `{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}` +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const listed = `{% if tools %}<|im_start|>system\nYou may call these functions:{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}<|im_end|>\n{% endif %}`;
const calls = (call: string): string =>
  `<|im_start|>assistant{% if m.content %}\n{{ m.content }}{% endif %}{% for c in m.tool_calls %}{% set f = c.function %}${call}{% endfor %}<|im_end|>\n`;

/** Without a place for tools. */
export const plainTemplate = turns("{{ m.content }}");

/** `<tool_call>` with a JSON object in it. */
export const hermesTemplate =
  listed +
  turns(
    calls(
      `{{ '\\n<tool_call>\\n{"name": "' }}{{ f.name }}{{ '", "arguments": ' }}{{ f.arguments | tojson }}}{{ '\\n</tool_call>' }}`,
    ),
  );

/** A JSON object and nothing else; one call. */
export const llamaTemplate =
  listed +
  turns(
    `{% if m.tool_calls | length != 1 %}{{ raise_exception("one call at a time") }}{% endif %}` +
      `<|im_start|>assistant\n{% set f = m.tool_calls[0].function %}{{ '{"name": "' + f.name + '", "parameters": ' }}{{ f.arguments | tojson }}}<|im_end|>\n`,
  );

/** Arguments one by one, which are no JSON. */
export const xmlTemplate =
  listed +
  turns(
    calls(
      "\n<tool_call>\n<function={{ f.name }}>{% for key, value in f.arguments.items() %}\n<parameter={{ key }}>\n{{ value }}\n</parameter>{% endfor %}\n</function>\n</tool_call>",
    ),
  );
