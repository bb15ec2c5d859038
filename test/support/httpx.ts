import { pythonPackages } from "./python.ts";

/** Pinned: what pip chooses for both. */
const PACKAGES = [
  "httpx==0.28.1",
  "websockets==17.4",
  "anyio==4.16.0",
  "certifi==2026.10.19.post1",
  "h11==0.16.0",
  "httpcore==1.0.9",
  "idna==3.20",
  "typing-extensions==4.16.0",
];

/** A folder with httpx and websockets, for `PYTHONPATH`. */
export const httpxClient = (): Promise<string> => pythonPackages("httpx-websockets", PACKAGES, ["--no-deps"]);
