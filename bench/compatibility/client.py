"""Official Python clients as they are. Takes asks as lines of JSON on stdin; what comes of each is written in lines too."""

import json
import sys
import threading

lock = threading.Lock()
# Some clients print advice.
out, sys.stdout = sys.stdout, sys.stderr


def send(**message):
    with lock:
        print(json.dumps(message), file=out, flush=True)


def images(ask):
    return [] if ask["image"] is None else [ask["image"]]


def collected(pieces, ask, close):
    """The text of a stream. One that is to be aborted is left after its first piece."""
    text = ""
    for piece in pieces:
        if not piece:
            continue
        text += piece
        send(id=ask["id"], piece=True)
        if ask["abort"]:
            close()
            break
    return {"text": text, "call": None}


def chat_request(ask):
    content = [{"type": "text", "text": ask["text"]}] + [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + image}} for image in images(ask)
    ]
    request = {"max_tokens": ask["max_tokens"], "temperature": 0, "messages": [{"role": "user", "content": content}]}
    if ask["tool"]:
        request |= {"tools": [{"type": "function", "function": ask["tool"]}], "tool_choice": "required"}
    if ask["schema"]:
        wrapped = {"name": "city", "strict": True, "schema": ask["schema"]}
        request["response_format"] = {"type": "json_schema", "json_schema": wrapped}
    return request


def chat_answer(answer):
    message = answer.choices[0].message
    calls = [
        {"name": call.function.name, "arguments": json.loads(call.function.arguments)}
        for call in message.tool_calls or []
    ]
    return {"text": message.content or "", "call": calls[0] if calls else None}


def chat_pieces(stream):
    return (choice.delta.content for chunk in stream for choice in chunk.choices)


def openai_client():
    from openai import OpenAI

    def run(ask):
        client = OpenAI(base_url=ask["url"] + "/v1", api_key=ask["key"])
        request = {"model": ask["model"], **chat_request(ask)}
        if not ask["streamed"]:
            return chat_answer(client.chat.completions.create(**request))
        stream = client.chat.completions.create(**request, stream=True)
        return collected(chat_pieces(stream), ask, stream.close)

    return run


def litellm_client():
    import litellm

    def run(ask):
        client = {"model": "openai/" + ask["model"], "api_base": ask["url"] + "/v1", "api_key": ask["key"]}
        request = {**client, **chat_request(ask)}
        if not ask["streamed"]:
            return chat_answer(litellm.completion(**request))
        stream = litellm.completion(**request, stream=True)
        return collected(chat_pieces(stream), ask, stream.completion_stream.close)

    return run


def anthropic_client():
    from anthropic import Anthropic

    def run(ask):
        client = Anthropic(base_url=ask["url"], api_key=ask["key"])
        content = [{"type": "text", "text": ask["text"]}] + [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}
            for image in images(ask)
        ]
        request = {
            "model": ask["model"],
            "max_tokens": ask["max_tokens"],
            "messages": [{"role": "user", "content": content}],
        }
        if ask["tool"]:
            tool = {**ask["tool"], "input_schema": ask["tool"]["parameters"]}
            tool.pop("parameters")
            request |= {"tools": [tool], "tool_choice": {"type": "any"}}
        if ask["streamed"]:
            with client.messages.stream(**request) as stream:
                return collected(stream.text_stream, ask, stream.close)
        answer = client.messages.create(**request)
        calls = [{"name": b.name, "arguments": b.input} for b in answer.content if b.type == "tool_use"]
        text = "".join(b.text for b in answer.content if b.type == "text")
        return {"text": text, "call": calls[0] if calls else None}

    return run


def ollama_client():
    from ollama import Client

    def run(ask):
        client = Client(host=ask["url"], headers={"authorization": "Bearer " + ask["key"]})
        request = {
            "model": ask["model"],
            "options": {"num_predict": ask["max_tokens"], "temperature": 0},
            "messages": [{"role": "user", "content": ask["text"], "images": images(ask) or None}],
            "tools": [{"type": "function", "function": ask["tool"]}] if ask["tool"] else None,
            "format": ask["schema"],
        }
        if ask["streamed"]:
            stream = client.chat(**request, stream=True)
            return collected((part.message.content for part in stream), ask, stream.close)
        message = client.chat(**request).message
        calls = [
            {"name": call.function.name, "arguments": dict(call.function.arguments)}
            for call in message.tool_calls or []
        ]
        return {"text": message.content or "", "call": calls[0] if calls else None}

    return run


CLIENTS = {
    "openai": openai_client,
    "anthropic": anthropic_client,
    "ollama": ollama_client,
    "litellm": litellm_client,
}


def answer(run, ask):
    try:
        send(id=ask["id"], answer=run(ask))
    except Exception as error:
        send(id=ask["id"], error=repr(error), status=getattr(error, "status_code", None))


def main():
    run = CLIENTS[sys.argv[1]]()
    for line in sys.stdin:
        threading.Thread(target=answer, args=(run, json.loads(line)), daemon=True).start()


main()
