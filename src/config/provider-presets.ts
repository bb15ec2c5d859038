import type { LimitField, ProviderType } from "../core/provider.ts";
import { type Environment, variable } from "./environment.ts";

/** The settings of a preset; every key of the entry takes precedence. */
export interface ProviderPreset {
  readonly title: string;
  readonly type: ProviderType;
  readonly baseUrl: string;
  /** The environment variable named by the provider's own documentation; null: it needs no key by default. */
  readonly keyVariable: string | null;
  /**
   * The only name that it has for the limit of a chat's answer, or the one that all its models take; null: it takes
   * both.
   */
  readonly limitField: LimitField | null;
  /** Another daemon like this one. */
  readonly isAssistant?: true;
}

const cloud = (
  title: string,
  baseUrl: string,
  keyVariable: string,
  limitField: LimitField | null = "max_tokens",
): ProviderPreset => ({ title, type: "openai-compatible", baseUrl, keyVariable, limitField });
const local = (title: string, baseUrl: string, limitField: LimitField | null = "max_tokens"): ProviderPreset => ({
  title,
  type: "openai-compatible",
  baseUrl,
  keyVariable: null,
  limitField,
});

/** Variables of one service that mean the same. */
const SAME_KEY: Readonly<Record<string, string>> = {
  GOOGLE_API_KEY: "GEMINI_API_KEY",
  GEMINI_API_KEY: "GOOGLE_API_KEY",
};

/** The variable with a service's key: this one, or another with the same meaning if only that is set. */
export function setKeyVariable(name: string, env: Environment): string {
  const other = SAME_KEY[name];
  return other !== undefined && variable(env, name) === null && variable(env, other) !== null ? other : name;
}

/** Presets by name: `preset = "openai"`. */
export const providerPresets = {
  openai: cloud("OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", "max_completion_tokens"),
  mistral: cloud("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
  groq: cloud("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "max_completion_tokens"),
  deepseek: cloud("DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
  together: cloud("Together AI", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
  openrouter: cloud("OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
  anthropic: {
    ...cloud("Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", null),
    type: "anthropic",
  },
  google: {
    ...cloud("Google Gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY", null),
    type: "google",
  },
  ollama: local("Ollama", "http://127.0.0.1:11434/v1"),
  lmstudio: local("LM Studio", "http://127.0.0.1:1234/v1"),
  vllm: local("vLLM", "http://127.0.0.1:8000/v1", null),
  assistant: { ...local("another Assistant", "http://127.0.0.1:8080/v1", null), isAssistant: true },
} as const satisfies Record<string, ProviderPreset>;

export type ProviderPresetName = keyof typeof providerPresets;
export const providerPresetNames = Object.keys(providerPresets) as ProviderPresetName[];
