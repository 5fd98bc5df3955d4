"""A small server that speaks OpenAI's API, to stand in for a neighbouring service.

``python -m tests.openai_stand_in --name NAME [--fail STATUS] [--says TEXT]`` announces its address on
standard error and echoes what it is asked: ``--fail`` answers everything with a status, ``--says`` every
chat with a text. A chat about SILENCE is never answered.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse, StreamingResponse


def create(options: Namespace) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def fail(request: Request, proceed: Any) -> Response:
        if options.fail:
            return JSONResponse({"error": {"message": f"{options.name} has a bad day"}}, options.fail)
        response: Response = await proceed(request)
        return response

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": f"{options.name}-model", "object": "model"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        said = str(body["messages"][-1]["content"])
        if "SILENCE" in said:
            await asyncio.sleep(3600)
        if body.get("stream"):
            return StreamingResponse(chunks(), media_type="text/event-stream")
        message = {"role": "assistant", "content": options.says or f"you said: {said}"}
        answer = {"model": body.get("model"), "by": options.name, "choices": [{"message": message}]}
        return JSONResponse(answer | {"authorization": request.headers.get("authorization")})

    @app.post("/v1/audio/transcriptions")
    async def transcribe(request: Request) -> Response:
        form = await request.form()
        file: Any = form["file"]
        content = await file.read()
        return JSONResponse({"text": f"{len(content)} bytes of {file.filename} by {form.get('model')}"})

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        body = await request.json()
        return Response(b"RIFF" + body["input"].encode(), media_type="audio/wav")

    return app


async def chunks() -> AsyncIterator[str]:
    for word in ("one", "two", "three"):
        yield f'data: {{"choices": [{{"delta": {{"content": "{word}"}}}}]}}\n\n'
    yield "data: [DONE]\n\n"


def main(arguments: list[str]) -> None:
    parser = ArgumentParser()
    parser.add_argument("--name", default="stand-in")
    parser.add_argument("--fail", type=int)
    parser.add_argument("--says")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sys.stderr.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stderr.flush()
        config = uvicorn.Config(
            create(parser.parse_args(arguments)), log_level="error", timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1:])
