"""Asks the handler `echo` with a stock client: pip install tritonclient[grpc], then

    python3 kserve_client.py http://127.0.0.1:8080 "Hello"

`GET /route` of the daemon says where the capability is served; the request goes there over gRPC.
"""

import json
import sys
import urllib.request

import numpy as np
import tritonclient.grpc as grpc

daemon, text = sys.argv[1:]
with urllib.request.urlopen(f"{daemon}/route?type=echo") as answer:
    endpoint = json.load(answer)["endpoint"]

tensor = grpc.InferInput("text", [1], "BYTES")
tensor.set_data_from_numpy(np.array([text.encode()], dtype=np.object_))
result = grpc.InferenceServerClient(endpoint).infer("echo", [tensor])
print(result.as_numpy("echo")[0].decode())
