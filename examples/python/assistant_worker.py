"""A worker for Assistant with nothing but Python's standard library (3.9 or newer).

    from assistant_worker import Worker

    def answer(history):                      # [{"role": "user", "msg": "Hello"}, ...]
        yield "You said: " + history[-1]["msg"]

    Worker(answer).run()

The environment configures it as it does the SDK in TypeScript: AGENT_ENDPOINT, LLM_NAME, PUBLIC_ADDRESS, PORT, ENDPOINT,
IGNORE_AGENT, RETRY_COUNT, DEBUG, SLOTS, HEARTBEAT_S, DRAIN_TIMEOUT_S, ASSISTANT_API_KEY.
"""

import json
import logging
import os
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__version__ = "1.0.0"

FAILED = "Error occurred. Please consult support."
MAX_BODY_BYTES = 64 * 2**20
REQUEST_TIMEOUT_S = 5
SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30, 40, 50, 60]
CHARACTERS = [*range(10, 100, 10), *range(100, 2000, 100)]
QUIET = {"/", "/health", "/metrics"}

log = logging.getLogger("worker")


def _text(name, default=None):
    value = os.environ.get(name, "").strip()
    return default if value in ("", "None") else value


def _integer(name, default):
    value = _text(name)
    if value is None:
        return default
    if not value.isdigit():
        sys.exit(f"The environment variable {name} must be an integer from 0 on; found {value!r}.")
    return int(value)


def _flag(name):
    value = (_text(name) or "false").lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("false", "0", "no", "off"):
        return False
    sys.exit(f"The environment variable {name} must be true or false; found {value!r}.")


class Settings:
    def __init__(self):
        self.agent_endpoint = _text("AGENT_ENDPOINT", "http://localhost:9000/v1.0/").rstrip("/") + "/"
        self.llm_name = _text("LLM_NAME", "Unnamed_LLM")
        self.public_address = _text("PUBLIC_ADDRESS", "localhost")
        self.port = _integer("PORT", 0)
        self.endpoint = _text("ENDPOINT", "/v1/completion")
        self.ignore_agent = _flag("IGNORE_AGENT")
        self.retry_count = _integer("RETRY_COUNT", 5)
        self.debug = _flag("DEBUG")
        self.slots = max(1, _integer("SLOTS", 1))
        self.heartbeat_s = _integer("HEARTBEAT_S", 30)
        self.drain_timeout_s = _integer("DRAIN_TIMEOUT_S", 30)
        self.api_key = _text("ASSISTANT_API_KEY")

    @property
    def listen_host(self):
        # An address that only this machine reaches, where only this machine is told of it.
        is_local = self.public_address == "localhost" or self.public_address.startswith("127.")
        return "127.0.0.1" if is_local else "0.0.0.0"


class Histogram:
    def __init__(self, buckets):
        self.buckets, self.counts, self.count, self.sum = buckets, [0] * len(buckets), 0, 0.0

    def observe(self, value):
        self.count += 1
        self.sum += value
        for index, most in enumerate(self.buckets):
            self.counts[index] += value <= most

    def lines(self, name):
        yield f"# TYPE {name} histogram"
        for most, count in zip(self.buckets, self.counts):
            yield f'{name}_bucket{{le="{most}"}} {count}'
        yield f'{name}_bucket{{le="+Inf"}} {self.count}'
        yield f"{name}_sum {self.sum}"
        yield f"{name}_count {self.count}"


class Metrics:
    STATES = ("uninitialized", "trying", "registered", "failed")

    def __init__(self, main_class):
        self.lock = threading.Lock()
        self.main_class, self.state, self.registration = main_class, "uninitialized", None
        names = ("agc_attempts", "api_received_requests", "api_accepted_requests", "api_rejected_requests", "layout_failed")
        self.counts = {name: 0 for name in names}
        self.seconds, self.length, self.throughput = Histogram(SECONDS), Histogram(CHARACTERS), Histogram(CHARACTERS)

    def add(self, name):
        with self.lock:
            self.counts[name] += 1

    def processed(self, seconds, characters):
        with self.lock:
            self.seconds.observe(seconds)
            self.length.observe(characters)
            self.throughput.observe(characters / max(seconds, 1e-6))

    def text(self, is_busy):
        with self.lock:
            return "\n".join(self._lines(is_busy)) + "\n"

    def _lines(self, is_busy):
        for name, value in self.counts.items():
            yield f"# TYPE {name}_total counter"
            yield f"{name}_total {value}"
        for state in self.STATES:
            yield f'agc_state{{agc_state="{state}"}} {int(state == self.state)}'
        if self.registration:
            name, endpoint = (json.dumps(text, ensure_ascii=False) for text in self.registration)
            yield f"agc_registration_info{{llm_name={name},public_endpoint={endpoint}}} 1"
        yield f'layout_config_info{{default_layout="False",main_class={json.dumps(self.main_class)}}} 1'
        for state in ("idle", "busy"):
            yield f'layout_state{{layout_state="{state}"}} {int((state == "busy") == is_busy)}'
        yield f'framework_version_info{{version="{__version__}"}} 1'
        yield from self.seconds.lines("layout_process_time_seconds")
        # Under the misspelt name and the right one.
        for unit in ("charters", "characters"):
            yield from self.length.lines(f"layout_output_length_{unit}")
            yield from self.throughput.lines(f"layout_output_throughput_{unit}_per_second")


class Registrar(threading.Thread):
    """Keeps the worker registered: uninitialized -> trying -> registered, or failed."""

    def __init__(self, settings, endpoint, metrics, on_failed):
        super().__init__(daemon=True)
        self.settings, self.endpoint, self.metrics, self.on_failed = settings, endpoint, metrics, on_failed
        self.stopped, self.registered = threading.Event(), False

    def run(self):
        self.metrics.registration = (self.settings.llm_name, self.endpoint)
        self.metrics.state = "trying"
        for retry in range(self.settings.retry_count + 1):
            self.metrics.add("agc_attempts")
            problem = self._register()
            if problem is None:
                self.registered, self.metrics.state = True, "registered"
                log.info('Registered "%s" at %s.', self.settings.llm_name, self.endpoint)
                return self._beat()
            if retry < self.settings.retry_count:
                log.warning("Registering failed (%s); next attempt in %d s.", problem, 2**retry)
                if self.stopped.wait(2**retry):
                    return None
        self.metrics.state = "failed"
        return self.on_failed()

    def unregister(self):
        self.stopped.set()
        if not self.registered:
            return
        self.registered = False
        status, text = self._post("worker/unregister")
        if status != 204:
            log.warning("Unregistering failed: %s %s", status, text)

    def _register(self):
        status, text = self._post("worker/register")
        if status == 201 or (status == 400 and "Duplicated worker endpoint" in text):
            return None
        return text if status is None else f"status {status}: {text}"

    def _beat(self):
        while self.settings.heartbeat_s > 0 and not self.stopped.wait(self.settings.heartbeat_s):
            # A daemon that does not know the worker any longer, as after a restart, learns of it again.
            if self._post("worker/heartbeat")[0] == 404:
                self._register()

    def _post(self, path):
        body = {"name": self.settings.llm_name, "endpoint": self.endpoint}
        if self.settings.slots > 1:
            body["slots"] = self.settings.slots
        headers = {"Content-Type": "application/json"}
        if self.settings.api_key:
            headers["Authorization"] = f"Bearer {self.settings.api_key}"
        url = urllib.parse.urljoin(self.settings.agent_endpoint, path)
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
                return answer.status, answer.read(4096).decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read(4096).decode(errors="replace")
        except OSError as error:
            return None, str(error)


def parse_input(body):
    """The history in a form's field `input`; None for what is none."""
    try:
        messages = json.loads(urllib.parse.parse_qs(body.decode(), keep_blank_values=True)["input"][0])
        history = []
        for message in messages:
            if not isinstance(message["isbot"], bool) or not isinstance(message["msg"], str):
                return None
            role = "bot" if message["isbot"] else message.get("role", "user")
            history.append({"role": role, "msg": message["msg"]})
        return history if isinstance(messages, list) else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


class Worker:
    """`llm(history)` returns the pieces of an answer: texts, or records with `role` and `msg`.

    Filters take a list of records and return one: ingress filters the history, egress filters each piece of an answer.
    """

    def __init__(self, llm, ingress_filters=(), egress_filters=(), settings=None):
        self.llm, self.ingress_filters, self.egress_filters = llm, ingress_filters, egress_filters
        self.settings = settings or Settings()
        self.metrics = Metrics(getattr(llm, "__qualname__", type(llm).__name__))
        self.places = threading.BoundedSemaphore(self.settings.slots)
        self.running, self.lock = 0, threading.Lock()
        self.draining, self.aborted = False, threading.Event()
        self.ended, self.exit_code = threading.Event(), 0

    def run(self):
        """Serves until SIGTERM or SIGINT, and ends the process: with 1 where registering failed for good."""
        level = logging.DEBUG if self.settings.debug else logging.INFO
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
        worker = self

        class Handler(RequestHandler):
            owner = worker

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        server = Server((self.settings.listen_host, self.settings.port), Handler)
        endpoint = f"http://{self.settings.public_address}:{server.server_address[1]}{self.settings.endpoint}"
        log.info("Worker SDK for Python %s, listening at %s.", __version__, endpoint)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        registrar = Registrar(self.settings, endpoint, self.metrics, self._registration_failed)
        registrar.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ended.set())
        self.ended.wait()
        self.draining = True
        registrar.unregister()
        deadline = time.monotonic() + self.settings.drain_timeout_s
        while self.running > 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        server.shutdown()
        sys.exit(self.exit_code)

    def pieces(self, history):
        """The answer's texts, through all filters."""
        for each in self.ingress_filters:
            history = each(history)
        for piece in self.llm(history):
            records = [{"role": "bot", "msg": piece} if isinstance(piece, str) else piece]
            for each in self.egress_filters:
                records = each(records)
            for record in records:
                if record["role"] != "user" and record["msg"]:
                    yield record["msg"]

    def _registration_failed(self):
        if self.settings.ignore_agent:
            return
        log.error("Registration failed. The program will exit now.")
        self.exit_code = 1
        self.ended.set()


class RequestHandler(BaseHTTPRequestHandler):
    owner = None
    protocol_version = "HTTP/1.1"
    server_version = f"AssistantWorker/{__version__}"

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/health":
            self._send(503 if self.owner.draining else 204)
        elif path == "/metrics":
            text = self.owner.metrics.text(self.owner.running > 0)
            self._send(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/":
            self._json(200, {"name": self.owner.settings.llm_name, "version": __version__})
        elif path == self.owner.settings.endpoint.rstrip("/") + "/abort":
            self.owner.aborted.set()
            self._send(204)
        else:
            self._json(404, {"message": f"No such path: {path}"})

    def do_POST(self):
        owner = self.owner
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES))
        if self.path.split("?")[0] != owner.settings.endpoint:
            return self._json(404, {"message": f"No such path: {self.path}"})
        owner.metrics.add("api_received_requests")
        if owner.draining or not owner.places.acquire(blocking=False):
            return self._refuse(503, "Processing another request")
        try:
            with owner.lock:
                owner.running += 1
                owner.aborted.clear()
            history = parse_input(body)
            if history is None:
                return self._refuse(400, "Bad request")
            if not history or history[-1]["msg"] == "":
                return self._refuse(400, "I didn't see your input!")
            owner.metrics.add("api_accepted_requests")
            return self._stream(history)
        finally:
            with owner.lock:
                owner.running -= 1
            owner.places.release()

    def _stream(self, history):
        begun, characters = time.monotonic(), 0
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            try:
                for text in self.owner.pieces(history):
                    if self.owner.aborted.is_set():
                        break
                    characters += len(text)
                    self._chunk(text)
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception:
                self.owner.metrics.add("layout_failed")
                log.exception("The layout failed.")
                self._chunk(FAILED)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        self.owner.metrics.processed(time.monotonic() - begun, characters)

    def _chunk(self, text):
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _refuse(self, status, message):
        self.owner.metrics.add("api_rejected_requests")
        self._json(status, {"message": message})

    def _json(self, status, body):
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status, body=b"", content_type=None):
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        if self.path.split("?")[0] not in QUIET:
            log.info("%s %s", self.command, re.sub(r"\s+", " ", format % args))
