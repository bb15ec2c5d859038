"""Repeats what the user said, in capitals: `LLM_NAME=echo AGENT_ENDPOINT=http://127.0.0.1:8080/v1.0/ python3 echo_worker.py`."""

from assistant_worker import Worker


def echo(history):
    for word in history[-1]["msg"].split(" "):
        if word == "fail":
            raise RuntimeError("asked to fail")
        yield word + " "


def capitals(records):
    return [{"role": record["role"], "msg": record["msg"].upper()} for record in records]


if __name__ == "__main__":
    Worker(echo, egress_filters=[capitals]).run()
