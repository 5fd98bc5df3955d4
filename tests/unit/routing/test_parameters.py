"""The request that a query becomes."""

import time

import pytest

from routing.parameters import chat_body, speech_body, video_body
from routing.prompt import avoided, prompt_of
from routing.query import RouteQuery
from routing.speech import spoken_words, text_to_read
from wan_models.bodies import ImageToVideo, SpeechToVideo, TextToVideo
from wan_models.catalog import CATALOG, Kind
from wan_models.request import resolve


@pytest.mark.parametrize(
    ("query", "language", "prompt"),
    [
        ("Generate a video of a cat playing in the garden", "en", "a cat playing in the garden"),
        ("please make me a short clip of a fox", "en", "a fox"),
        ("Can you create a video showing two robots, please?", "en", "two robots"),
        ("I want a video where a whale jumps. Thanks!", "en", "a whale jumps"),
        ("text to video: a red balloon", "en", "a red balloon"),
        ("a cat on a sofa", "en", "a cat on a sofa"),
        ("Film a medieval knight", "en", "a medieval knight"),
        ("Turn this photo into a video where the leaves fall", "en", "the leaves fall"),
        ("Animate this photo", "en", ""),
        ("make a video", "en", ""),
        ("Genera un vídeo de un gato", "es", "un gato"),
        ("Génère une vidéo d'un chat", "fr", "un chat"),
        ("Erstelle ein Video von einer Katze", "de", "einer Katze"),
        ("Gere um vídeo de um gato", "pt", "um gato"),
        ("Создай видео, где кошка играет", "ru", "кошка играет"),
        ("生成一段猫在玩耍的视频", "zh", "猫在玩耍"),
        ("遊ぶ猫の動画を作ってください", "ja", "遊ぶ猫"),
        ("노는 고양이 영상을 만들어 줘", "ko", "노는 고양이"),
        ("खेलती बिल्ली का वीडियो बनाओ", "hi", "खेलती बिल्ली"),
        ("hey assistant, make me a clip with two otters?", "en", "two otters"),
        (
            "My son turns six. Could you make a film of a fox party? Balloons!",
            "en",
            "My son turns six. a fox party? Balloons!",
        ),
        ("Don't write a script, just make the video: a lighthouse", "en", "a lighthouse"),
        ("the tide rolls in", "en", "the tide rolls in"),
        ("make her hair move a bit", "en", "her hair move a bit"),
        ("a whale over Rome, as a video", "en", "a whale over Rome"),
        ("oye, móntame un clip de un pulpo", "es", "un pulpo"),
        ("haz que las olas rompan", "es", "las olas rompan"),
        ("anima esta foto", "es", ""),
        ("tu pourrais me faire un clip d'un renard ?", "fr", "un renard"),
        ("que les nuages défilent", "fr", "les nuages défilent"),
        ("kannst du mir bitte ein Video machen: ein Fuchs", "de", "ein Fuchs"),
        ("ich hätte gern ein kurzes Video mit einem Fuchs", "de", "einem Fuchs"),
        ("você pode fazer um vídeo de um gato?", "pt", "um gato"),
        ("faça o barco navegar", "pt", "o barco navegar"),
        ("сними-ка ролик, где енот спит", "ru", "енот спит"),
        ("пусть лодка плывёт", "ru", "лодка плывёт"),
        ("让她的裙子飘动", "zh", "她的裙子飘动"),
        ("把这幅画变成视频，让河水流动", "zh", "河水流动"),
        ("海を飛ぶクジラが見たい", "ja", "海を飛ぶクジラ"),
        ("배가 천천히 움직이게 해줘", "ko", "배가 천천히 움직이게"),
        ("ek video banao jisme haathi nahata hai", "en", "haathi nahata hai"),
    ],
)
def test_the_asking_goes_and_the_description_stays(query, language, prompt):
    assert prompt_of(query, language) == prompt


@pytest.mark.parametrize(
    ("query", "what", "rest"),
    [
        ("a street without any people", "people", "a street"),
        ("a street, no text, no logos", "text, logos", "a street"),
        ("a man without a hat", None, "a man without a hat"),
        ("no country for old men", None, "no country for old men"),
    ],
)
def test_what_to_go_without_is_taken_out(query, what, rest):
    found, left = avoided(query)
    assert (found, left.strip()) == (what, rest)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('make him say "good morning"', "good morning"),
        ("make him say “good morning”", "good morning"),
        ("lass ihn „Guten Morgen“ sagen", "Guten Morgen"),
        ("fais-lui dire « Bonjour »", "Bonjour"),
        ("让他说“早上好”", "早上好"),
        ("「おはよう」と言わせて", "おはよう"),
        ("『おはよう』と言わせて", "おはよう"),
        ("make him say 'it's me'", "it's me"),
        ("she says: happy new year", "happy new year"),
        ("他说：新年快乐", "新年快乐"),
        ("make this portrait say hello", "hello"),
        ("make the man talk", None),
        ("haz que diga hola a todos", "hola a todos"),
        ("fais-lui dire bonjour", "bonjour"),
        ("lass ihn hallo sagen", "hallo"),
        ("faz ele dizer olá pessoal", "olá pessoal"),
        ("пусть он скажет привет всем", "привет всем"),
        ("让她说大家好", "大家好"),
        ("彼女にこんにちはと言わせて", "こんにちは"),
        ("그가 안녕하세요라고 말하게 해줘", "안녕하세요"),
        ("इस आदमी से नमस्ते बुलवाओ", "नमस्ते"),
        ("have her wish everyone a happy new year", "a happy new year"),
        ("he says ”hello”", "hello"),
        ("haz que hable", None),
        ("让他说话", None),
        ("make him say something nice", None),
        ('the "old" man says "welcome to our house"', "welcome to our house"),
    ],
)
def test_words_to_be_spoken(query, said):
    found = spoken_words(query)
    assert (found[0] if found else None) == said


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("read this aloud: good evening", "good evening"),
        ('say "good night" softly', "good night"),
        ("text to speech hello there", "hello there"),
        ("tts the train is late", "the train is late"),
        ("a text with no instruction", "a text with no instruction"),
    ],
)
def test_text_to_be_read(query, text):
    assert text_to_read(query) == text


def body_of(query: str, kind: Kind, task: str, *kinds: str, **context):
    attachments = [{"kind": one, "url": f"https://files.example.com/{one}"} for one in kinds]
    asked = RouteQuery.model_validate({"query": query, "attachments": attachments, "context": context})
    return video_body(asked, kind, CATALOG[task], "en")


def test_a_text_becomes_a_request_that_the_model_accepts():
    query = "Make a vertical 8 second video of a fox, seed 3, 24 fps, no people"
    body = body_of(query, Kind.TEXT_TO_VIDEO, "t2v-A14B")
    request = resolve(TextToVideo.model_validate(body.fields), CATALOG["t2v-A14B"], tiny=False)
    assert (request.prompt, request.width, request.height) == ("a fox", 720, 1280)
    assert (request.frame_num, request.fps, request.base_seed) == (161, 24, 3)
    assert request.negative_prompt.endswith(", people")
    assert body.notes == ["The video will last 6.7 seconds, not 8."]


def test_two_pictures_are_the_first_and_the_last_frame():
    body = body_of("morph", Kind.IMAGE_TO_VIDEO, "i2v-A14B", "image", "image")
    whole = ImageToVideo.model_validate(body.fields)
    assert whole.last_image_path == "https://files.example.com/image"


def test_a_recording_goes_before_words_to_be_spoken():
    body = body_of('make her say "hi"', Kind.SPEECH_TO_VIDEO, "s2v-14B", "image", "audio")
    whole = SpeechToVideo.model_validate(body.fields)
    assert (whole.audio_path, whole.enable_tts) == ("https://files.example.com/audio", False)


def test_a_portrait_with_nothing_to_say_lacks_the_speech():
    assert body_of("make her talk", Kind.SPEECH_TO_VIDEO, "s2v-14B", "image").missing == ["audio_path"]


@pytest.mark.parametrize(
    "query", ["have him say “Hello, team”", "lip sync this photo", "make this portrait say hello"]
)
def test_a_query_that_only_says_what_to_do_gets_a_prompt_of_its_own(query):
    body = body_of(query, Kind.SPEECH_TO_VIDEO, "s2v-14B", "image")
    assert body.fields["prompt"] == "A person speaking naturally"


def test_a_scene_with_a_speaker_is_a_prompt():
    query = "a woman talking to the camera in an office"
    body = body_of(query, Kind.SPEECH_TO_VIDEO, "s2v-14B", "image", "audio")
    assert body.fields["prompt"] == query


def test_what_is_seen_beside_the_speech_stays_in_the_prompt():
    body = body_of(
        'a woman in a red coat, soft light, she says "hello"', Kind.SPEECH_TO_VIDEO, "s2v-14B", "image"
    )
    assert body.fields["prompt"] == "a woman in a red coat, soft light"


def test_an_animation_takes_its_poses_and_says_what_a_video_lacks():
    body = body_of("dance", Kind.ANIMATION, "animate-14B", "image", "video")
    assert body.missing == ["src_root_path"]
    assert "src_pose.mp4" in body.notes[0]
    assert body_of("dance", Kind.ANIMATION, "animate-14B", "pose").missing == []


def test_the_context_goes_before_the_words():
    body = body_of(
        "a fox, seed 1, 10 seconds", Kind.TEXT_TO_VIDEO, "t2v-A14B", seed=9, max_duration=2, fps=16
    )
    assert (body.fields["base_seed"], body.fields["frame_num"]) == (9, 29)


def test_pictures_are_sent_beside_the_question():
    asked = RouteQuery.model_validate(
        {"query": "what is this?", "attachments": [{"kind": "image", "url": "https://example.com/a.png"}]}
    )
    (message,) = chat_body(asked, "m").fields["messages"]
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def test_speech_names_a_voice():
    asked = RouteQuery(query="read aloud: hello")
    assert speech_body(asked, None, "alloy").fields == {"input": "hello", "voice": "alloy"}


@pytest.mark.parametrize(
    "unit",
    [", ", ": ", "please , ", '"', "'a ", "no x, ", "half a ", "1x", "“", "make a video of ", "\n\t", "at "],
)
def test_no_query_makes_the_patterns_run_away(unit):
    asked = RouteQuery(query=(unit * 8000)[:7999] + "x")
    begin = time.process_time()
    for kind, task in ((Kind.TEXT_TO_VIDEO, "t2v-A14B"), (Kind.SPEECH_TO_VIDEO, "s2v-14B")):
        video_body(asked, kind, CATALOG[task], "en")
    text_to_read(asked.query)
    assert time.process_time() - begin < 5  # a pattern that runs away takes minutes


@pytest.mark.parametrize(
    ("query", "prompt"),
    [
        ("a fox in the snow for ten seconds", "a fox in the snow"),
        ("a fox, lasting about 5 seconds in 4K", "a fox"),
        ("the logo flies in, 3 secs", "the logo flies in"),
        ("un zorro, formato vertical", "un zorro"),
    ],
)
def test_what_leads_to_a_number_goes_with_it_and_nothing_else(query, prompt):
    assert body_of(query, Kind.TEXT_TO_VIDEO, "t2v-A14B").fields["prompt"] == prompt
