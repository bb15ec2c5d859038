import { pythonPackages } from "./python.ts";

/** The client with what it needs for one thread, which is half of what pip would choose. */
const PACKAGES = [
  "tritonclient==2.73.0",
  "numpy==2.4.6",
  "ml-dtypes==0.6.0",
  "grpcio==1.85.3",
  "protobuf==6.33.6",
  "python-rapidjson==1.25",
  "geventhttpclient==2.6.1",
  "gevent==26.9.0",
  "greenlet==3.5.6",
  "zope.event==6.2",
  "zope.interface==8.7",
  "packaging==26.4",
  "typing-extensions==4.16.0",
  "brotli==1.2.1",
  "certifi==2026.10.19.post1",
  "urllib3==2.8.0",
];

/** A folder with NVIDIA's client, for `PYTHONPATH`. */
export const tritonClient = (): Promise<string> => pythonPackages("tritonclient", PACKAGES, ["--no-deps"]);
