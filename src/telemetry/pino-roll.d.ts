// The package ships no types.
declare module "pino-roll" {
  import type { SonicBoom } from "sonic-boom";
  export default function build(options: {
    readonly file: string;
    readonly size: string;
    readonly limit: { readonly count: number; readonly removeOtherLogFiles: boolean };
    readonly symlink: boolean;
    readonly mkdir: boolean;
    readonly sync: boolean;
  }): Promise<SonicBoom>;
}
