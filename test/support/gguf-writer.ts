export * from "../../src/engines/gguf-writer.ts";
