"""Handlers of capabilities in Python, without dependencies.

    from capability_worker import App

    app = App()

    @app.capability(type="echo")
    def echo(request):
        return {"echo": request["text"]}

    @app.capability(type="count", stream=True)
    def count(request, context, stream):
        for number in range(1, request["to"][0] + 1):
            stream.send({"number": [number]})

    app.run()          # --port 0 --api-server http://127.0.0.1:8080

Tensors are lists: BYTES are `bytes`, the others numbers and booleans. What a handler returns becomes FP32 (float), INT32
(int), BOOL or BYTES (str, bytes).
"""

import argparse
import inspect
import json
import os
import struct
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "FP32": "f", "FP64": "d",
}
HEADER_LENGTH = "Inference-Header-Content-Length"


def decode(datatype, raw):
    """The elements of a tensor in binary form."""
    if datatype == "BYTES":
        elements, at = [], 0
        while at < len(raw):
            (length,) = struct.unpack_from("<I", raw, at)
            elements.append(raw[at + 4 : at + 4 + length])
            at += 4 + length
        return elements
    form = FORMATS[datatype]
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(form)}{form}", raw))


def encode(datatype, elements):
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(each)) + each for each in elements)
    return struct.pack(f"<{len(elements)}{FORMATS[datatype]}", *elements)


def tensor_of(name, elements):
    elements = [each.encode() if isinstance(each, str) else each for each in elements]
    if all(isinstance(each, bytes) for each in elements):
        datatype = "BYTES"
    elif all(isinstance(each, bool) for each in elements):
        datatype = "BOOL"
    elif all(isinstance(each, int) for each in elements):
        datatype = "INT32"
    else:
        datatype = "FP32"
    return {"name": name, "datatype": datatype, "shape": [len(elements)]}, elements


class Context:
    """`call` asks whoever offers a capability, or a model by its name, through the daemon."""

    def __init__(self, api_server, replica_id):
        self.api_server, self.replica_id = api_server, replica_id

    def call(self, inputs, model=None, capability=None):
        tensors = []
        for name, elements in inputs.items():
            tensor, elements = tensor_of(name, elements)
            data = [each.decode() if isinstance(each, bytes) else each for each in elements]
            tensors.append({**tensor, "data": data})
        path = "/infer/json" if model is None else f"/v2/models/{model}/infer"
        headers = {f"X-Capability-{key.replace('_', '-')}": str(value) for key, value in (capability or {}).items()}
        answer = self.fetch(path, {"inputs": tensors}, headers)
        return {output["name"]: output["data"] for output in json.loads(answer.read())["outputs"]}

    def fetch(self, path, body, headers=None):
        key = os.environ.get("ASSISTANT_API_KEY", "")
        headers = {"Content-Type": "application/json", **(headers or {})}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(self.api_server + path, json.dumps(body).encode(), headers)
        return urllib.request.urlopen(request)


class Stream:
    """Where a streaming handler sends the parts of its answer."""

    def __init__(self, handler, head):
        self._handler, self._head, self.closed = handler, head, False

    def send(self, outputs):
        self._require_open()
        listed = []
        for name, elements in outputs.items():
            tensor, elements = tensor_of(name, elements)
            listed.append({**tensor, "data": [each.decode() if isinstance(each, bytes) else each for each in elements]})
        self._write({**self._head, "outputs": listed})

    def error(self, message):
        self._require_open()
        self._write({"error": message})
        self.closed = True

    def close(self):
        self._require_open()
        self.closed = True

    def _write(self, event):
        self._handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self._handler.wfile.flush()

    def _require_open(self):
        if self.closed:
            raise RuntimeError("the stream is closed: nothing can be sent any more")


class App:
    def __init__(self):
        self.handlers = []

    def capability(self, stream=False, **capability):
        def register(function):
            self.handlers.append((capability, stream, function))
            return function

        return register

    def find(self, name, version):
        for handler in self.handlers:
            kind, model = handler[0].get("type"), handler[0].get("model")
            if kind == name and (version in ("", "1") or str(model) == version):
                return handler
        return next((each for each in self.handlers if each[0].get("model") == name), None)

    def run(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=0)
        parser.add_argument("--api-server", default="")
        parser.add_argument("--replica-id", default="auto")
        args = parser.parse_args()
        replica_id = f"replica-{args.port}-{uuid.uuid4().hex[:8]}" if args.replica_id == "auto" else args.replica_id
        context = Context(args.api_server, replica_id)
        server = ThreadingHTTPServer((args.host, args.port), handler_class(self, context))
        endpoint = f"http://{args.host}:{server.server_port}"
        print(f"ready on {endpoint}", flush=True)
        # The daemon knows those that it has started itself.
        if args.api_server and "ASSISTANT_POOL" not in os.environ:
            threading.Thread(target=self.keep_registered, args=(context, endpoint), daemon=True).start()
        server.serve_forever()

    def keep_registered(self, context, endpoint):
        """Registers, and again whenever the stream that keeps the registration ends."""
        body = {
            "replica_id": context.replica_id,
            "endpoint": endpoint,
            "capabilities": [capability for capability, _, _ in self.handlers],
        }
        pause = 1
        while True:
            try:
                for _ in context.fetch("/register", body):
                    pause = 1
            except OSError as error:
                print(f"not registered: {error}; trying again in {pause} s", flush=True)
            time.sleep(pause)
            pause = min(30, pause * 2)


def handler_class(app, context):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            self.answer(200, {"ready": True} if self.path.endswith("/ready") else {"live": True})

        def do_POST(self):
            words = self.path.strip("/").split("/")
            version = words[4] if len(words) > 4 and words[3] == "versions" else ""
            found = app.find(words[2], version) if len(words) > 3 else None
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if found is None:
                return self.answer(404, {"error": f"there is no handler for {self.path[:100]}"})
            try:
                message, inputs = self.read(body)
            except (ValueError, KeyError, struct.error) as error:
                return self.answer(400, {"error": f"no inference request: {error}"})
            head = {"model_name": words[2], "model_version": "1", **({"id": message["id"]} if message.get("id") else {})}
            try:
                self.infer(found, inputs, message, head, words[-1] == "infer_stream")
            except (KeyError, TypeError, ValueError) as error:
                self.answer(400, {"error": f"{type(error).__name__}: {error}"})
            except Exception as error:
                self.answer(500, {"error": str(error)})

        def read(self, body):
            length = int(self.headers.get(HEADER_LENGTH, len(body)))
            message, at, inputs = json.loads(body[:length]), length, {}
            for tensor in message["inputs"]:
                size = (tensor.get("parameters") or {}).get("binary_data_size")
                if size is None:
                    elements = [each.encode() if isinstance(each, str) else each for each in tensor["data"]]
                else:
                    elements, at = decode(tensor["datatype"], body[at : at + size]), at + size
                inputs[tensor["name"]] = elements
            return message, inputs

        def infer(self, found, inputs, message, head, is_stream):
            _, streams, function = found
            takes = len(inspect.signature(function).parameters)
            if is_stream:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                stream = Stream(self, head)
                if streams:
                    function(inputs, context, stream)
                else:
                    stream.send(function(*(inputs, context)[:takes]))
                return
            if streams:
                raise ValueError("it answers in several parts; use ModelStreamInfer")
            outputs = [tensor_of(name, elements) for name, elements in function(*(inputs, context)[:takes]).items()]
            raw = [encode(tensor["datatype"], elements) for tensor, elements in outputs]
            listed = [
                {**tensor, "parameters": {"binary_data_size": len(part)}} for (tensor, _), part in zip(outputs, raw)
            ]
            if (message.get("parameters") or {}).get("binary_data_output") is True:
                text = json.dumps({**head, "outputs": listed}).encode()
                return self.send(200, text + b"".join(raw), "application/octet-stream", len(text))
            data = [
                {**tensor, "data": [each.decode() if isinstance(each, bytes) else each for each in elements]}
                for tensor, elements in outputs
            ]
            self.answer(200, {**head, "outputs": data})

        def answer(self, status, body):
            self.send(status, json.dumps(body).encode(), "application/json")

        def send(self, status, body, content_type, head_length=None):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if head_length is not None:
                self.send_header(HEADER_LENGTH, str(head_length))
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    app = App()

    @app.capability(type="python-echo")
    def echo(request):
        return {"echo": request["text"]}

    @app.capability(type="python-count", stream=True)
    def count(request, context, stream):
        for number in range(1, request["to"][0] + 1):
            stream.send({"number": [number]})

    app.run()
