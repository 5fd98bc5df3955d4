"""Input files are read in a process of their own: what is taken, what is kept of it, what is refused."""

import io
import wave
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from PIL import Image

from tests.media_files import animation, archive, picture, sound, video
from wan_models.inspection import Inspector, UnfitMediaError
from wan_models.media import Media, MediaKind


def inspected(tmp_path: Path, kind: str, content: bytes) -> Media:
    source = tmp_path / "source"
    source.write_bytes(content)
    return Inspector().inspect(MediaKind(kind), source, tmp_path / "kept")


def refusal(tmp_path: Path, kind: str, content: bytes) -> str:
    with pytest.raises(UnfitMediaError) as caught:
        inspected(tmp_path, kind, content)
    return str(caught.value)


def kept(tmp_path: Path) -> Image.Image:
    with Image.open(tmp_path / "kept") as image:
        assert image.format == "PNG"
        return image.copy()


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_kept_as_png_in_rgb(tmp_path, name):
    found = inspected(tmp_path, "image", picture(format=name))
    assert found == Media(kind=MediaKind.IMAGE, suffix="png", width=96, height=64)
    assert (kept(tmp_path).mode, kept(tmp_path).size) == ("RGB", (96, 64))


def test_a_picture_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned a quarter to the left
    found = inspected(tmp_path, "image", picture(format="JPEG", exif=exif))
    assert found.size == (64, 96)
    assert kept(tmp_path).size == (64, 96)
    assert not kept(tmp_path).getexif()


@pytest.mark.parametrize(
    ("mode", "colour", "becomes"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("L", 128, (128, 128, 128)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 32896, (128, 128, 128)),
    ],
)
def test_every_mode_becomes_eight_bits_of_rgb_on_white(tmp_path, mode, colour, becomes):
    buffer = io.BytesIO()
    Image.new(mode, (8, 8), colour).save(buffer, "PNG")
    inspected(tmp_path, "image", buffer.getvalue())
    assert kept(tmp_path).getpixel((4, 4)) == becomes


def test_a_picture_for_print_becomes_one_for_screens(tmp_path):
    inspected(tmp_path, "image", picture(mode="CMYK", format="JPEG"))
    assert kept(tmp_path).mode == "RGB"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture",
        b"GIF89a" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture()[:60],
        picture()[:-30],
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        sound(),
        video(),
    ],
    ids=["empty", "text", "gif", "svg", "no data", "cut short", "zeros", "sound", "video"],
)
def test_what_is_no_picture_is_refused(tmp_path, content):
    assert refusal(tmp_path, "image", content)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    assert "50 million" in refusal(tmp_path, "image", picture(8000, 8000, mode="1"))
    assert "50 million" in refusal(tmp_path, "image", picture(20000, 20000, mode="1"))


@pytest.mark.parametrize("container", ["wav", "mp3", "flac", "ogg", "ipod"])
def test_sounds_are_kept_as_pcm(tmp_path, container):
    found = inspected(tmp_path, "audio", sound(1.0, container=container))
    assert (found.kind, found.suffix) == (MediaKind.AUDIO, "wav")
    assert found.seconds == pytest.approx(1.0, abs=0.1)
    with wave.open(str(tmp_path / "kept")) as wav:
        assert (wav.getnchannels(), wav.getsampwidth()) == (1, 2)
        assert wav.getnframes() / wav.getframerate() == found.seconds


def test_a_wave_file_is_kept_sample_by_sample(tmp_path):
    content = sound(0.5)
    inspected(tmp_path, "audio", content)
    with wave.open(str(tmp_path / "kept")) as wav, wave.open(io.BytesIO(content)) as original:
        assert wav.readframes(10**6) == original.readframes(10**6)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt " + bytes(50), b"ID3" + bytes(100), picture(), video()],
    ids=["empty", "no header", "zeros", "tag alone", "picture", "silent video"],
)
def test_what_has_no_sound_is_refused(tmp_path, content):
    assert refusal(tmp_path, "audio", content)


def test_a_playlist_is_never_followed(tmp_path):
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    assert "not a WAV" in refusal(tmp_path, "audio", playlist)
    assert "not an MP4" in refusal(tmp_path, "video", playlist)


def test_the_frames_of_a_video_are_counted_and_the_file_is_kept(tmp_path):
    content = video(9)
    found = inspected(tmp_path, "video", content)
    assert found == Media(kind=MediaKind.VIDEO, suffix="mp4", width=96, height=64, frames=9)
    assert (tmp_path / "kept").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [b"", video()[:500], video()[:40] + bytes(2000), sound(container="ipod"), picture()],
    ids=["empty", "cut short", "zeros", "sound", "picture"],
)
def test_what_is_no_video_is_refused(tmp_path, content):
    assert refusal(tmp_path, "video", content)


@pytest.mark.parametrize("folder", ["", "data/"])
def test_an_archive_is_unpacked_by_our_own_names(tmp_path, folder):
    members = animation()
    clutter = {"__MACOSX/._src_ref.png": b"x", "data/.DS_Store": b"x"}
    inspected(tmp_path, "archive", archive({folder + name: members[name] for name in members} | clutter))
    assert {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == members


@pytest.mark.parametrize(
    "name",
    [
        "../src_ref.png",
        "/src_ref.png",
        "a/../src_ref.png",
        "a/b/src_ref.png",
        "..\\src_ref.png",
        "evil.sh",
        "src_ref.jpg",
    ],
)
def test_an_archive_with_anything_else_in_it_is_refused(tmp_path, name):
    assert "holds" in refusal(tmp_path, "archive", archive({name: picture()}))
    assert not list(tmp_path.rglob("src_ref.png"))


@pytest.mark.parametrize(
    ("other", "words"), [("b/src_pose.mp4", "several folders"), ("b/src_ref.png", "holds 'b/src_ref.png'")]
)
def test_an_archive_with_several_folders_or_a_member_twice_is_refused(tmp_path, other, words):
    assert words in refusal(tmp_path, "archive", archive({"a/src_ref.png": b"a", other: b"b"}))


def test_an_archive_of_too_many_files_is_refused(tmp_path):
    assert "65 files" in refusal(tmp_path, "archive", archive({f"{n}.txt": b"" for n in range(65)}))


def test_an_archive_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path):
    buffer = io.BytesIO()
    with (
        ZipFile(buffer, "w", ZIP_DEFLATED, compresslevel=1) as packed,
        packed.open("src_pose.mp4", "w") as member,
    ):
        for _ in range(257):
            member.write(bytes(1024 * 1024))
    assert "256 MiB" in refusal(tmp_path, "archive", buffer.getvalue())


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"PK\3\4" + bytes(100), archive(animation())[:-60]])
def test_what_is_no_archive_is_refused(tmp_path, content):
    assert refusal(tmp_path, "archive", content)


def test_a_reader_sees_nothing_of_the_gateways_environment(tmp_path, monkeypatch):
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text("raise SystemExit(1)")
    monkeypatch.setenv("PYTHONPATH", str(spy))
    assert inspected(tmp_path, "image", picture()).width == 96
