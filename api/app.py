"""The composition root of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from api.access import Access, anonymous_mode
from api.admission import Admissions
from api.cached import Cached
from api.cors import allow_origins
from api.errors import answer_errors
from api.feed import RedisFeed
from api.follow import Follow
from api.gate import Gate
from api.headers import SecurityHeaders
from api.inputs.intake import open_intake
from api.keyring import Keyring
from api.limiter import Limiter
from api.load import Load
from api.openapi import complete
from api.origin import Origins
from api.outages import Outages
from api.parts import Parts
from api.routes import (
    batches,
    events,
    generate,
    health,
    jobs,
    models,
    openai,
    route,
    uploads,
    videos,
    webhooks,
)
from api.routes.page import page_router
from api.settings import GatewaySettings
from api.version import VERSION
from api.watch import Watch
from api.webhooks import Webhooks
from jobs.connect import open_artifacts, open_keys, open_limits, open_store, open_webhooks
from jobs.outbound import Outbound
from routing.desk import open_desk
from telemetry.traces import Traces
from wan_models.catalog import CATALOG
from wan_models.engines import read_engines
from wan_models.loras import read_loras
from wan_models.models_dir import served_models

MODELS_FRESH_SECONDS = 2
PROBES = frozenset({"/health/live", "/health/ready"})


class Gateway(FastAPI):
    """FastAPI with our headers around everything, and a description that tells of our errors."""

    def build_middleware_stack(self) -> ASGIApp:
        """Outermost, so that even the answer to a crash has the headers."""
        parts: Parts = self.state.parts
        ours = SecurityHeaders(allow_origins(super().build_middleware_stack(), parts.origins))
        return Origins(ours, parts.traces)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description, made on first use."""
        if not self.openapi_schema:
            self.openapi_schema = complete(super().openapi())
        return self.openapi_schema


def open_parts(settings: GatewaySettings, traces: Traces | None = None) -> Parts:
    """The parts that the settings choose. Nothing is connected before it is used."""
    artifacts = open_artifacts(settings)
    store = open_store(settings, artifacts)
    load = Load(store, CATALOG)
    outages = Outages()
    watch = Watch(store.get, RedisFeed(settings.redis_address), outages=outages)
    return Parts(
        store=store,
        artifacts=artifacts,
        models=Cached(
            partial(served_models, settings.models_path, read_engines(settings.engines)),
            MODELS_FRESH_SECONDS,
        ),
        load=load,
        watch=watch,
        follow=Follow(store, watch, load),
        access=Access(
            Keyring(open_keys(settings)),
            anonymous_mode(settings),
            public_url=settings.public_url,
            origins=settings.origins,
        ),
        admissions=Admissions(load, settings.queue_length),
        limiter=Limiter(open_limits(settings), settings.limits),
        intake=open_intake(settings, artifacts),
        deadlines=settings.deadlines,
        loras=read_loras(settings.loras_dir),
        webhooks=Webhooks(open_webhooks(settings), Outbound(settings.webhook_hosts)),
        desk=open_desk(settings),
        public_url=settings.public_url,
        origins=settings.origins,
        redirects=settings.redirect_downloads,
        clones_voices=settings.tts_url is not None,
        outages=outages,
        traces=traces or Traces(),
    )


def create_app(parts: Parts) -> FastAPI:
    """A gateway made of these parts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with parts.watch.running(), parts.desk.running():
            yield
        await run_in_threadpool(parts.traces.close)

    app = Gateway(
        title="wanserve",
        version=VERSION,
        summary="Wan 2.2 video generation as a service.",
        lifespan=lifespan,
        docs_url=None,  # both pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_telemetry(parts.traces),
        routes=_routes(),
    )
    app.state.parts = parts
    app.add_middleware(Gate, access=parts.access, limiter=parts.limiter)
    answer_errors(app)
    return app


def _telemetry(traces: Traces) -> TelemetryConfig:
    """FastAPI makes the spans of requests, and no more: its logs would tell tracebacks."""
    return {
        "tracing": traces.provider is not None,
        "tracer_provider": traces.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in PROBES,
    }


def _routes() -> list[BaseRoute]:
    """Every route, side by side: including routers in the app would have each request matched twice."""
    # Tried one after another: what is asked for most comes first.
    modules = (generate, jobs, batches, openai, route, uploads, events, videos, webhooks, models, health)
    routers = [module.router for module in modules]
    return [route for router in (*routers, page_router()) for route in router.routes]
