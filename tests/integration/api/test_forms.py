"""Forms byte by byte: what is not UTF-8 is refused by name, never guessed at."""

import pytest

from api.body import MAX_JSON_BYTES
from tests.integration.api.conftest import Gateway

DIALECTS = ["/generate/text-to-video", "/v1/videos"]
LATIN = "Kätzchen".encode("latin-1")


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="' + name + b'"' + more
    return head + b"\r\n\r\n" + value + b"\r\n"


def post(gateway: Gateway, url: str, *parts: bytes, declared: str = "multipart/form-data; boundary=x"):
    return gateway.client.post(
        url, content=b"".join(parts) + b"--x--\r\n", headers={"content-type": declared}
    )


@pytest.mark.parametrize("url", DIALECTS)
def test_text_in_utf_8_is_taken(gateway, url):
    answer = post(gateway, url, part(b"prompt", "ein Kätzchen 🐈".encode()), part(b"size", b"128x64"))
    assert answer.is_success, answer.text
    assert gateway.job(answer.json()["id"])["request"]["prompt"] == "ein Kätzchen 🐈"


@pytest.mark.parametrize("url", DIALECTS)
@pytest.mark.parametrize("text", [LATIN, b"\xff\xfe", b"cut short \xe2\x82", b"\xed\xa0\x80"])
def test_text_that_is_not_utf_8_is_refused_and_its_field_named(gateway, url, text):
    answer = post(gateway, url, part(b"size", b"128x64"), part(b"prompt", text))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "prompt", "message": "It is not UTF-8."}]


@pytest.mark.parametrize("url", DIALECTS)
def test_a_name_that_is_not_utf_8_is_refused(gateway, url):
    answer = post(gateway, url, part(b"prompt", b"a cat"), part(LATIN, b"x"))
    assert (answer.status_code, answer.json()["error_type"]) == (400, "malformed_form")


def encoded(gateway: Gateway, url: str, body: bytes, more: str = ""):
    headers = {"content-type": f"application/x-www-form-urlencoded{more}"}
    return gateway.client.post(url, content=body, headers=headers)


@pytest.mark.parametrize("url", DIALECTS)
def test_a_form_without_files_may_be_url_encoded(gateway, url):
    """As curl's ``-d`` and aiohttp's ``FormData`` send it."""
    answer = encoded(gateway, url, "prompt=ein+K%C3%A4tzchen+%26+🐈&size=128x64&fps=".encode())
    assert answer.is_success, answer.text
    request = gateway.job(answer.json()["id"])["request"]
    assert (request["prompt"], request["width"], request["fps"]) == ("ein Kätzchen & 🐈", 128, 16)


@pytest.mark.parametrize("url", DIALECTS)
@pytest.mark.parametrize("text", [b"K%E4tzchen", LATIN, b"%ED%A0%80", b"%ff"])
def test_url_encoded_text_that_is_not_utf_8_is_refused_and_its_field_named(gateway, url, text):
    answer = encoded(gateway, url, b"size=128x64&prompt=" + text)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "prompt", "message": "It is not UTF-8."}]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid_request"),
        (b"&&=&%", 422, "invalid_request"),
        (b"prompt=a&prompt=b", 422, "invalid_request"),
        (b"prompt=a&%ff=b", 400, "malformed_form"),
        (b"a=b&" * 65, 400, "malformed_form"),
        (b"prompt=" + b"a" * MAX_JSON_BYTES, 413, "body_too_large"),
    ],
)
def test_a_url_encoded_form_is_held_to_what_other_bodies_are(gateway, body, status, code):
    for url in DIALECTS:
        answer = encoded(gateway, url, body)
        assert (answer.status_code, answer.json()["error_type"]) == (status, code)
    assert encoded(gateway, DIALECTS[0], b"prompt=a", "; charset=latin-1").status_code == 415


@pytest.mark.parametrize("url", DIALECTS)
def test_the_text_of_a_form_is_as_long_as_a_body_may_be_however_many_fields_it_has(gateway, url):
    parts = (part(f"field{n}".encode(), b"x" * (MAX_JSON_BYTES // 4)) for n in range(5))
    answer = post(gateway, url, *parts)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "malformed_form")


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "zlib", "nonsense"])
def test_another_character_set_is_refused(gateway, charset):
    declared = f"multipart/form-data; boundary=x; charset={charset}"
    answer = post(gateway, DIALECTS[0], part(b"prompt", b"a cat"), declared=declared)
    assert (answer.status_code, answer.json()["error_type"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("url", "field"), [(DIALECTS[0], "loras"), (DIALECTS[1], "lora"), (DIALECTS[1], "loras")]
)
@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"[NaN]", b"[1e999]"])
def test_json_in_a_field_is_read_as_strictly_as_a_body(gateway, url, field, text):
    answer = post(gateway, url, part(b"prompt", b"a cat"), part(field.encode(), text))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


def test_the_name_of_a_file_may_be_anything(gateway):
    file = part(b"image", b"no picture", b'; filename="' + LATIN + b'.png"')
    answer = post(gateway, "/generate/image-to-video", part(b"prompt", b"a cat"), file)
    assert answer.json()["error_type"] in ("model_not_installed", "invalid_request")
