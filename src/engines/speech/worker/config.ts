/** What a speech worker is started with, as JSON in its first argument. */
export interface SpeechWorkerConfig {
  readonly socketPath: string;
  readonly modelName: string;
  /** Requests that are spoken at once. */
  readonly slots: number;
  readonly threads: number;
  readonly backend: BackendConfig;
  /** For requests that name none; "": the first one. */
  readonly voice: string;
  readonly speed: number;
  readonly maxInputCharacters: number;
  /** Where encoders are looked for. */
  readonly pathVariable: string;
}

export type BackendConfig =
  | { readonly type: "espeak-ng"; readonly program: string }
  | {
      readonly type: "sherpa-onnx";
      /** A Piper voice. */
      readonly modelPath: string;
      /** Folder of espeak-ng, which turns text into phonemes. */
      readonly phonemeData: string;
      /** Null: as the voice's makers say. */
      readonly temperature: number | null;
    };
