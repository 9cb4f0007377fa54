"""The panel's listener: a few files, one WebSocket, on loopback alone, behind the gate. A thread of its own.

The daemon has no listener and knows of none: this is the bench's, and only `bodycam-sim panel` starts it.
"""

import asyncio
import logging
import socket
import threading
from pathlib import Path

import uvicorn
from h11 import LocalProtocolError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from device.evidence import layout
from hw_sim.panel import messages
from hw_sim.panel.gate import POLICY_VIOLATED, Gate
from hw_sim.panel.viewer import Bench, Viewer

PAGE = Path(__file__).with_name("page")
MOST_VIEWERS = 4
TRY_LATER = 1013
FAILED = 1011
LOOK_EVERY_S = 0.04
"""Fine enough for the shortest flash of a light, 100 ms."""
PICTURE_EVERY_S = 0.2
JOIN_LIMIT_S = 5.0

log = logging.getLogger("bodycam")


def _is_told(record: logging.LogRecord) -> bool:
    """Of what uvicorn logs, a failure of ours; not that there was nobody to answer, since what came was no request."""
    return record.exc_info is None or not isinstance(record.exc_info[1], LocalProtocolError)


def listener(port: int) -> socket.socket:
    """On loopback, at this port or, for 0, at any free one. `OSError` where it is taken."""
    listening = socket.create_server(("127.0.0.1", port))
    listening.set_inheritable(False)
    return listening


class PanelServer:
    """`start` serves `listening` until `stop`."""

    def __init__(self, bench: Bench, listening: socket.socket, token: str) -> None:
        self._bench = bench
        self._listening = listening
        self._viewers = 0
        self._pictures = asyncio.Lock()
        app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/export/{name}.mp4", self._video),
                WebSocketRoute("/live", self._live),
                Mount("/page", StaticFiles(directory=PAGE)),
            ]
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                Gate(app, token, listening.getsockname()[1]),
                http="h11",
                ws="wsproto",
                ws_max_size=messages.MAX_MESSAGE_BYTES,
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="error",  # a request that is none is answered, not told on the terminal
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=64,
                timeout_graceful_shutdown=1,
            )
        )
        logging.getLogger("uvicorn.error").addFilter(_is_told)
        self._thread = threading.Thread(target=self._run, name="panel", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(JOIN_LIMIT_S)

    def _run(self) -> None:
        self._server.run([self._listening])

    async def _index(self, _: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    async def _video(self, request: Request) -> Response:
        name = request.path_params["name"]
        file = self._bench.proofs.file_of(name) if layout.recording_counter(name) is not None else None
        if file is None:
            return PlainTextResponse("not exported\n", 404)
        return FileResponse(file, media_type="video/mp4")

    async def _live(self, websocket: WebSocket) -> None:
        if self._viewers >= MOST_VIEWERS:
            await websocket.accept()
            await websocket.close(TRY_LATER, f"{MOST_VIEWERS} pages look at this panel already: close one")
            return
        self._viewers += 1
        viewer = Viewer(self._bench)
        try:
            await websocket.accept()
            both = {asyncio.ensure_future(talk(websocket, viewer)) for talk in (self._tell, self._hear)}
            try:
                ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for talk in both:
                    talk.cancel()
            for failure in filter(None, (talk.exception() for talk in ended)):
                log.error("the panel's page: %r", failure, exc_info=failure)
                await websocket.close(FAILED, "the panel failed; what it printed says why")
        finally:
            self._viewers -= 1
            viewer.leave()

    async def _hear(self, websocket: WebSocket, viewer: Viewer) -> None:
        try:
            while True:
                if not viewer.hear(await websocket.receive_text()):
                    await websocket.close(POLICY_VIOLATED, "too many messages at once")
                    return
        except (WebSocketDisconnect, KeyError, RuntimeError):
            return  # gone; or it sent bytes, which nothing here does

    async def _tell(self, websocket: WebSocket, viewer: Viewer) -> None:
        clock = self._bench.hardware.clock
        shown, picture_due_us = 0, 0
        try:
            while True:
                for text in viewer.news(clock.now_us()):
                    await websocket.send_text(text.decode())
                if clock.now_us() >= picture_due_us:
                    picture_due_us = clock.now_us() + round(PICTURE_EVERY_S * 1e6)
                    async with self._pictures:
                        number, jpeg = await asyncio.to_thread(self._bench.picture.jpeg)
                    if number != shown:
                        shown = number
                        await websocket.send_bytes(jpeg)
                await asyncio.sleep(LOOK_EVERY_S)
        except (WebSocketDisconnect, RuntimeError):
            return
