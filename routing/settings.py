"""Where the neighbouring services are, read from the environment. docs/settings.md lists every field."""

from __future__ import annotations

import re

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from routing.intents import Service
from routing.neighbours import NeighbourConfig
from telemetry.settings import LogSettings

_URL = r"https?://[^\s,/?#@]+(/[^\s,?#]*)?"
_URLS = rf"^{_URL}(, *{_URL})*$"


class NeighbourSettings(BaseSettings):
    """The settings of whatever routes queries."""

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    vllm_urls: str | None = Field(
        None, pattern=_URLS, description="Servers of the language model, with commas between. Unset: none."
    )
    vllm_api_key: SecretStr | None = Field(None, description="API key of the language model.")
    vllm_model: str | None = Field(None, description="Its name. Unset: the first that it lists.")
    multimodal_urls: str | None = Field(
        None, pattern=_URLS, description="Servers of the model that sees pictures and videos. Unset: none."
    )
    multimodal_api_key: SecretStr | None = Field(None, description="API key of that model.")
    multimodal_model: str | None = Field(None, description="Its name. Unset: the first that it lists.")
    stt_urls: str | None = Field(
        None, pattern=_URLS, description="Servers with OpenAI's `/v1/audio/transcriptions`. Unset: none."
    )
    stt_api_key: SecretStr | None = Field(None, description="API key of the speech-to-text service.")
    stt_model: str | None = Field(None, description="Its model. Unset: the first that it lists.")
    tts_urls: str | None = Field(
        None,
        pattern=_URLS,
        description="Servers with OpenAI's `/v1/audio/speech` for spoken text. Unset: none.",
    )
    tts_api_key: SecretStr | None = Field(None, description="API key of the text-to-speech service.")
    tts_model: str | None = Field(None, description="Its model. Unset: the service's choice.")
    tts_voice: str | None = Field(
        None, description="Voice to speak with. Unset: the service's choice, and eSpeak NG's `en`."
    )
    neighbour_seconds: float = Field(
        120, ge=1, le=3600, description="How long a neighbouring service may keep silent while it answers."
    )
    enhance_seconds: float = Field(
        8, ge=0.1, le=120, description="How long the language model may take to elaborate a prompt."
    )
    second_opinion: bool = Field(
        default=False, description="Ask the language model what an unclear query wants."
    )

    @property
    def neighbours(self) -> dict[Service, NeighbourConfig]:
        """The services that are configured."""
        named = {
            service: getattr(self, f"{service}_urls") for service in Service if service is not Service.WAN
        }
        return {service: self._config(service, urls) for service, urls in named.items() if urls}

    def _config(self, service: Service, urls: str) -> NeighbourConfig:
        key: SecretStr | None = getattr(self, f"{service}_api_key")
        return NeighbourConfig(
            urls=tuple(re.sub(r"/v1/?$", "", url.strip()) for url in urls.split(",")),
            key=key.get_secret_value() if key else None,
            model=getattr(self, f"{service}_model"),
            voice=self.tts_voice if service is Service.TTS else None,
        )


class FrontSettings(NeighbourSettings, LogSettings):
    """The settings of a router that stands by itself, in front of several installations."""

    wanserve_urls: str = Field(
        pattern=_URLS, description="Gateways of the installations, with commas between."
    )
    wanserve_api_key: SecretStr | None = Field(
        None, description="API key to read their models with; clients' own keys are passed on."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8005, ge=0, le=65535, description="Port to listen on.")

    @property
    def installations(self) -> tuple[str, ...]:
        """The entries of ``wanserve_urls``."""
        return tuple(url.strip() for url in self.wanserve_urls.split(","))

    @property
    def installation_key(self) -> str | None:
        """The key, to be sent and never shown."""
        return self.wanserve_api_key.get_secret_value() if self.wanserve_api_key else None
