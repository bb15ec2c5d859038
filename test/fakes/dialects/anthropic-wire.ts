/**
 * Answers of Anthropic's Messages API, byte for byte in the form that its documentation gives, uneven blanks included:
 * - events, pings, errors within a stream: https://platform.claude.com/docs/en/build-with-claude/streaming
 * - thinking, signatures, redacted thinking: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
 * - tool use: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
 * - stop reasons: https://platform.claude.com/docs/en/api/handling-stop-reasons
 * - error bodies: https://platform.claude.com/docs/en/api/errors
 */

const started = (usage: string): string =>
  `event: message_start
data: {"type":"message_start","message":{"model":"claude-sonnet-4-5-20250929","id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{${usage},"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":2,"service_tier":"standard"}}     }

`;

const stopped = (reason: string, sequence: string, usage: string): string =>
  `event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"${reason}","stop_sequence":${sequence}},"usage":{${usage}}      }

event: message_stop
data: {"type":"message_stop"          }

`;

const COUNTS = '"input_tokens":21,"cache_creation_input_tokens":8,"cache_read_input_tokens":100';

const PING = `event: ping
data: {"type": "ping"}

`;

const text = (index: number, ...pieces: readonly string[]): string =>
  `event: content_block_start
data: {"type":"content_block_start","index":${index},"content_block":{"type":"text","text":""}}

${pieces
  .map(
    (piece) => `event: content_block_delta
data: {"type":"content_block_delta","index":${index},"delta":{"type":"text_delta","text":${JSON.stringify(piece)}}   }

`,
  )
  .join("")}event: content_block_stop
data: {"type":"content_block_stop","index":${index} }

`;

const thinking = (index: number): string =>
  `event: content_block_start
data: {"type":"content_block_start","index":${index},"content_block":{"type":"thinking","thinking":"","signature":""}       }

event: content_block_delta
data: {"type":"content_block_delta","index":${index},"delta":{"type":"thinking_delta","thinking":"Two cities, "}    }

event: content_block_delta
data: {"type":"content_block_delta","index":${index},"delta":{"type":"thinking_delta","thinking":"so two calls."}            }

event: content_block_delta
data: {"type":"content_block_delta","index":${index},"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"}  }

event: content_block_stop
data: {"type":"content_block_stop","index":${index}      }

`;

const redacted = (index: number): string =>
  `event: content_block_start
data: {"type":"content_block_start","index":${index},"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3"}     }

event: content_block_stop
data: {"type":"content_block_stop","index":${index}   }

`;

const toolUse = (index: number, id: string, name: string, ...pieces: readonly string[]): string =>
  `event: content_block_start
data: {"type":"content_block_start","index":${index},"content_block":{"type":"tool_use","id":"${id}","name":"${name}","input":{}}  }

event: content_block_delta
data: {"type":"content_block_delta","index":${index},"delta":{"type":"input_json_delta","partial_json":""}         }

${pieces
  .map(
    (piece) => `event: content_block_delta
data: {"type":"content_block_delta","index":${index},"delta":{"type":"input_json_delta","partial_json":${JSON.stringify(piece)}}}

`,
  )
  .join("")}event: content_block_stop
data: {"type":"content_block_stop","index":${index}  }

`;

const END_TURN = stopped("end_turn", "null", `${COUNTS},"output_tokens":15`);

const error = (type: string, message: string): string =>
  `event: error
data: {"type": "error", "error": {"details":null,"type": "${type}", "message": "${message}"}, "request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}

`;

const begun = started(COUNTS) + PING;

export const anthropicWire = {
  text: begun + text(0, "Rhine, ", "Elbe, ", "Oder 🌊") + END_TURN,
  /** Thinks, speaks, then calls two tools in one answer. */
  tools:
    begun +
    thinking(0) +
    text(1, "Let me look.") +
    toolUse(2, "toolu_01A09q90qw90lq917835lq9", "get_weather", '{"city":', ' "Pa', 'ris"}') +
    toolUse(3, "toolu_01B23r45st67uv89wx01yz2", "get_weather", '{"city": "Rome"}') +
    stopped("tool_use", "null", `${COUNTS},"output_tokens":90,"output_tokens_details":{"thinking_tokens":12}`),
  toolWithoutArguments:
    begun +
    redacted(0) +
    toolUse(1, "toolu_01C45", "list_rivers") +
    stopped("tool_use", "null", `${COUNTS},"output_tokens":20`),
  thinking:
    begun +
    thinking(0) +
    text(1, "Paris and Rome.") +
    stopped("end_turn", "null", `${COUNTS},"output_tokens":30,"output_tokens_details":{"thinking_tokens":12}`),
  /** How older models give JSON: as the input of a tool that they have to call. */
  jsonTool:
    begun +
    toolUse(0, "toolu_01D67", "json", '{"rivers":', '["Rhine"]}') +
    stopped("tool_use", "null", `${COUNTS},"output_tokens":14`),
  ended: (reason: string, sequence = "null"): string =>
    begun + text(0, "Rhine") + stopped(reason, sequence, `${COUNTS},"output_tokens":3`),
  /** Event types that are newer than any client. */
  unknownEvents: `${begun}event: message_hint
data: {"type":"message_hint","hint":{"kind":"future"}}

${text(0, "Rhine")}event: usage_report
data: {"type":"usage_report","tokens":3}

${END_TURN}`,
  /** Within an event, in the middle of a word. */
  halfEvent: begun + text(0, "Rhine").slice(0, -120),
  /** Between two events. */
  cutOff: begun + text(0, "Rhine"),
  overloadedAtOnce: error("overloaded_error", "Overloaded"),
  overloadedWithin: begun + text(0, "Rhine") + error("overloaded_error", "Overloaded"),
  notJson: `${begun}event: content_block_start
data: {"type":"content_block_start","index":0,"content_

`,
};

/** The body of an error answer. */
export const anthropicError = (type: string, message: string): string =>
  JSON.stringify({ type: "error", error: { type, message }, request_id: "req_011CSHoEeqs5C35K2UUqR7Fy" });
