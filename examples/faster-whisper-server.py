#!/usr/bin/env python3
"""OpenAI's routes for transcripts around faster-whisper (pip install faster-whisper). faster-whisper.toml runs it."""

import argparse
import email
import email.policy
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from faster_whisper import WhisperModel

TASKS = {"/v1/audio/transcriptions": "transcribe", "/v1/audio/translations": "translate"}


class Refused(Exception):
    pass


def read_form(content_type, body):
    """The fields of a form, and the bytes of its file."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields, recording = {}, None
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True) or b""
        if name == "file":
            recording = content
        else:
            fields[name] = content.decode()
    if recording is None:
        raise Refused("Field 'file' must be a recording")
    return fields, recording


def clock(seconds, mark):
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}{mark}{rest:03}"


def written(segments, seconds, language, task, form):
    """The transcript in the format that was asked for, and its content type."""
    text = "".join(segment.text for segment in segments).strip()
    if form == "json":
        return json.dumps({"text": text, "usage": {"type": "duration", "seconds": seconds}}), "application/json"
    if form == "verbose_json":
        parts = [{"id": part.id, "start": part.start, "end": part.end, "text": part.text} for part in segments]
        whole = {"task": task, "language": language, "duration": seconds, "text": text, "segments": parts}
        return json.dumps(whole), "application/json"
    if form == "text":
        return text + "\n", "text/plain; charset=utf-8"
    if form not in ("srt", "vtt"):
        raise Refused("Field 'response_format' must be json, text, srt, verbose_json or vtt")
    mark = "," if form == "srt" else "."
    cues = [
        (f"{number}\n" if form == "srt" else "")
        + f"{clock(part.start, mark)} --> {clock(part.end, mark)}\n{part.text.strip()}\n"
        for number, part in enumerate(segments, 1)
    ]
    return ("" if form == "srt" else "WEBVTT\n\n") + "\n".join(cues), f"text/{'plain' if form == 'srt' else 'vtt'}; charset=utf-8"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    model = WhisperModel(options.model, device="cpu", compute_type="int8", cpu_threads=options.threads)
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def answer(self, status, text, content_type="application/json"):
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status, message):
            self.answer(status, json.dumps({"error": {"message": message, "type": "invalid_request_error"}}))

        def do_GET(self):
            if self.path == "/health":
                self.answer(200, '{"status":"ok"}')
            else:
                self.refuse(404, "There is no such path")

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            task = TASKS.get(self.path)
            if task is None:
                self.refuse(404, "There is no such path")
                return
            try:
                fields, recording = read_form(self.headers.get("Content-Type", ""), body)
                with turn:
                    found, info = model.transcribe(
                        io.BytesIO(recording),
                        task=task,
                        language=fields.get("language"),
                        initial_prompt=fields.get("prompt"),
                        temperature=float(fields.get("temperature", 0)),
                    )
                    segments = list(found)
                form = fields.get("response_format", "json")
                self.answer(200, *written(segments, info.duration, info.language, task, form))
            except (Refused, ValueError) as error:
                self.refuse(400, str(error))
            except Exception as error:  # What cannot be decoded is no recording.
                self.refuse(400, f"Field 'file' must be a recording: {error}")

    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


main()
