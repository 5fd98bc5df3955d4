"""The pages in a real browser, on a real service."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Locator, Page, expect, sync_playwright

from tests.e2e.conftest import Service, running_service
from tests.media_files import animation, archive, picture, sound

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 90_000
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        assert not os.environ.get("CI"), "CI must have a browser."
        pytest.skip(f"No browser is installed; any of {', '.join(BROWSERS)} will do.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if _is_fault(said) else None)
    yield page
    page.close()
    assert faults == []


def _is_fault(said: ConsoleMessage) -> bool:
    # Chromium also tells of every answer from 400 on, which the page expects.
    return said.type == "error" and not said.text.startswith("Failed to load resource")


@pytest.fixture
def studio(page: Page, service: Service) -> Page:
    page.goto(service.address)
    expect(page.get_by_role("status")).to_have_text("ready, 1 worker")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()  # it knows the models
    return page


def generate(page: Page, prompt: str) -> Locator:
    """Press the button; the card of the new job."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_role("button", name="Generate").click()
    return page.get_by_role("listitem").filter(has_text=prompt)


def set_steps(page: Page, steps: int) -> None:
    page.get_by_text("Settings").click()
    page.get_by_label("Steps").fill(str(steps))


def attach(page: Page, field: str, name: str, media_type: str, content: bytes) -> None:
    file = FilePayload(name=name, mimeType=media_type, buffer=content)
    page.locator(f'input[name="{field}"]:enabled').set_input_files(file)


def test_a_video_is_asked_for_watched_played_and_deleted(studio):
    set_steps(studio, 40)
    card = generate(studio, "The lighthouse of the studio in a storm")
    expect(card.get_by_role("img")).to_be_visible()  # a picture of what is being made
    expect(card).to_contain_text("step ")
    expect(card).to_contain_text("completed")
    video = card.locator("video")
    assert video.evaluate("video => video.play().then(() => [video.videoWidth, video.videoHeight])") == [
        256,
        128,
    ]
    with studio.expect_download() as download:
        card.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".mp4")
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


def test_a_job_of_another_client_shows_by_itself_and_can_be_cancelled(studio, service):
    job = service.submit(prompt="Somebody else's", sample_steps=100, frame_num=81)
    card = studio.get_by_role("listitem").filter(has_text="Somebody else's")
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_contain_text("cancelled")
    assert service.job(job["id"])["status"] == "cancelled"


def test_after_the_last_step_it_tells_what_is_done_and_the_bar_only_moves(studio, service):
    job = service.submit(prompt="All decoding", sample_steps=1, frame_num=81, size="832*480")
    card = studio.get_by_role("listitem").filter(has_text="All decoding")
    expect(card).to_contain_text("decoding")
    expect(card.locator("progress:indeterminate")).to_be_visible()
    service.client.post(f"/jobs/{job['id']}/cancel").raise_for_status()
    expect(card).to_contain_text("cancelled")


def test_a_refusal_names_the_field_and_what_to_do(studio):
    studio.get_by_text("Settings").click()
    studio.get_by_label("Frames").fill("18")
    studio.get_by_role("button", name="Generate").click()
    expect(studio.get_by_role("alert")).to_be_visible()
    expect(studio.get_by_label("Prompt", exact=True)).to_have_attribute("aria-invalid", "true")
    studio.get_by_label("Prompt", exact=True).fill("A cat")
    studio.get_by_role("button", name="Generate").click()
    expect(studio.get_by_role("alert")).to_contain_text("17 and 21")
    expect(studio.get_by_label("Frames")).to_have_attribute("aria-invalid", "true")


def test_an_image_comes_to_life_and_its_settings_make_another(studio):
    studio.get_by_text("Image", exact=True).click()
    attach(studio, "image", "face.png", "image/png", picture(128, 96))
    set_steps(studio, 4)
    card = generate(studio, "The harbour of the studio wakes up")
    expect(card).to_contain_text("completed")
    expect(card).to_contain_text("i2v-A14B")
    studio.get_by_text("Text", exact=True).click()
    card.get_by_role("button", name="Again").click()
    expect(studio.get_by_label("First frame")).to_be_visible()
    expect(studio.get_by_label("Prompt", exact=True)).to_have_value("The harbour of the studio wakes up")
    expect(studio.get_by_label("Steps")).to_have_value("4")


@pytest.mark.parametrize("said_by", ["recording", "text"])
def test_a_portrait_speaks(studio, said_by):
    studio.get_by_text("Speech", exact=True).click()
    attach(studio, "image", "face.png", "image/png", picture(64, 64))
    if said_by == "recording":
        attach(studio, "audio", "voice.wav", "audio/wav", sound(0.5))
    else:
        studio.get_by_label("Or what to say").fill("Hi")
    set_steps(studio, 2)
    studio.get_by_label("Size").select_option("64*64")
    expect(generate(studio, f"The studio speaks by {said_by}")).to_contain_text("completed")


def test_a_character_moves_like_a_performer(studio):
    studio.get_by_text("Animate", exact=True).click()
    attach(studio, "src_root", "in.zip", "application/zip", archive(animation()))
    set_steps(studio, 2)
    expect(generate(studio, "The character of the studio dances")).to_contain_text("completed")


def test_a_service_with_keys_is_opened_by_one(page, tmp_path):
    with running_service(tmp_path / "data") as service:
        page.goto(service.address)
        expect(page.get_by_role("status")).to_have_text("ready, 1 worker")
        key = new_key(service, tmp_path)
        page.reload()
        expect(page.get_by_role("status")).to_have_text("needs an API key")
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Tab")
        expect(page.get_by_role("status")).to_have_text("ready, 1 worker")
        expect(page.get_by_role("button", name="Generate")).to_be_enabled()
        set_steps(page, 4)
        card = generate(page, "Behind a key")
        expect(card).to_contain_text("completed")
        card.locator("video").click()
        expect(card.locator("video")).to_have_js_property("videoWidth", 256)
        page.goto("about:blank")  # ends its stream, so that the service can stop


def new_key(service: Service, tmp_path) -> str:
    command = [sys.executable, "-m", "scripts.keys", "create", "page"]
    variables = os.environ | {"DATA_DIR": str(tmp_path / "data")}
    made = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=60)
    return next(word for word in made.stdout.split() if word.startswith("wk_"))


def test_the_api_is_described_and_can_be_tried(page, service):
    page.goto(f"{service.address}/docs")
    page.locator("details", has=page.get_by_text("/health", exact=True)).locator("summary").first.click()
    operation = page.locator("details[open]")
    operation.get_by_role("button", name="Send").click()
    expect(operation.locator(".try pre")).to_contain_text('"status": "ok"')
