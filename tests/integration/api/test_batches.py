"""Batches: many jobs by one request, told of and stopped together."""

from typing import Any

import pytest
from ulid import ULID

from api.batches import MOST_JOBS, Batch, BatchId, bodies_of
from api.refusals import BatchNotFoundError
from jobs.policy import Caps
from jobs.state import JobError
from tests.integration.api.conftest import Gateway

REQUEST = {"task": "t2v-A14B", "prompt": "A cat", "size": "128*64", "frame_num": 17}


def post(gateway: Gateway, key: str | None = None, **fields: Any) -> Any:
    headers = {"idempotency-key": key} if key is not None else {}
    return gateway.client.post("/batches", json={"request": REQUEST, **fields}, headers=headers)


def batch(gateway: Gateway, **fields: Any) -> dict[str, Any]:
    answer = post(gateway, **fields)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/batches/{made['id']}"
    return made


def pairs(made: dict[str, Any]) -> list[tuple[str, int]]:
    return [(job["request"]["prompt"], job["request"]["base_seed"]) for job in made["jobs"]]


def refused(answer: Any) -> tuple[int, str]:
    problem = answer.json()
    return answer.status_code, problem["errors"][0]["field"] if problem.get("errors") else problem[
        "error_type"
    ]


def test_there_is_a_job_for_each_pair_of_a_prompt_and_a_seed(gateway):
    made = batch(gateway, prompts=["a", "b"], seeds=[1, 2])
    assert pairs(made) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert (made["status"], made["total"], made["progress"]) == ("queued", 4, 0)
    assert made["counts"]["queued"] == 4
    assert [submitted.id for submitted in gateway.submitted] == [job["id"] for job in made["jobs"]]
    assert all(gateway.job(job["id"])["status"] == "queued" for job in made["jobs"])


def test_jobs_are_taken_in_the_order_of_the_batch(gateway):
    made = batch(gateway, prompts=list("abc"))
    assert [job["queue_position"] for job in made["jobs"]] == [1, 2, 3]


def test_a_number_of_videos_counts_up_from_the_seed(gateway):
    made = batch(gateway, request=REQUEST | {"base_seed": 7}, num_videos=3)
    assert pairs(made) == [("A cat", 7), ("A cat", 8), ("A cat", 9)]


def test_seeds_are_drawn_where_none_is_given(gateway):
    assert len(set(pairs(batch(gateway, num_videos=3)))) == 3


def test_a_request_alone_is_a_batch_of_one(gateway):
    assert batch(gateway)["total"] == 1


def test_a_batch_is_told_as_its_jobs_go(gateway):
    made = batch(gateway, seeds=[1, 2, 3])
    first, second, third = (job["id"] for job in made["jobs"])

    def now() -> tuple[str, int]:
        told = gateway.client.get(f"/batches/{made['id']}").raise_for_status().json()
        return told["status"], told["progress"]

    assert now() == ("queued", 0)
    gateway.finish(first)
    assert now() == ("in_progress", 33)
    gateway.store.cancel(second)
    gateway.finish(third)
    assert now() == ("partial", 100)


def test_a_batch_whose_jobs_all_end_alike_ends_so(gateway):
    made, failing = batch(gateway, seeds=[1, 2]), batch(gateway, seeds=[3])
    for job in made["jobs"]:
        gateway.finish(job["id"])
    gateway.store.fail(gateway.claim(failing["jobs"][0]["id"]).lease, JobError("x", "Broken."))
    told = [gateway.client.get(f"/batches/{one['id']}").json()["status"] for one in (made, failing)]
    assert told == ["completed", "failed"]


def test_cancelling_stops_what_has_not_ended(gateway):
    made = batch(gateway, seeds=[1, 2])
    gateway.finish(made["jobs"][0]["id"])
    told = gateway.client.post(f"/batches/{made['id']}/cancel").json()
    assert [job["status"] for job in told["jobs"]] == ["completed", "cancelled"]
    assert gateway.client.post(f"/batches/{made['id']}/cancel").json()["status"] == "partial"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompts": []}, "prompts"),
        ({"prompts": ["a"] * (MOST_JOBS + 1)}, "prompts"),
        ({"prompts": ["a"] * 11, "seeds": list(range(10))}, "prompts"),
        ({"prompts": [" "]}, "prompts"),
        ({"prompts": "a"}, "prompts"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": [1], "num_videos": 2}, "num_videos"),
        ({"num_videos": 0}, "num_videos"),
        ({"num_videos": MOST_JOBS + 1}, "num_videos"),
        ({"kind": "song"}, "kind"),
        ({"kind": "image-to-video"}, "image_path"),
        ({"request": REQUEST | {"size": "1*1"}}, "size"),
        ({"request": REQUEST | {"sample_steps": 0}}, "sample_steps"),
        ({"request": REQUEST | {"reuse": True}}, "reuse"),
        ({"request": []}, "request"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_batch_is_refused_and_leaves_nothing(gateway, fields, field):
    assert refused(post(gateway, **fields)) == (422, field)
    assert gateway.client.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"request": 5}, "request: Send a JSON object, with the fields as its members."),
        ({"seeds": ["a"]}, "seeds: Item 1: Input should be a valid integer."),
        ({"prompts": ["a", 5]}, "prompts: Item 2: Input should be a valid string."),
        ({"prompts": []}, "prompts: It has too few items."),
        ({"prompts": "a"}, "prompts: Send a list."),
    ],
)
def test_a_bad_list_is_told_of_in_words_of_json(gateway, fields, told):
    assert post(gateway, **fields).json()["detail"] == told


def test_a_batch_that_does_not_fit_into_the_cap_leaves_nothing_queued(gateway):
    gateway.store.set_caps("default", Caps(queued=2))
    assert refused(post(gateway, seeds=[1, 2, 3])) == (429, "too_many_jobs")
    assert gateway.client.get("/jobs").json()["jobs"] == []


def test_a_repeated_key_answers_with_the_same_batch(gateway):
    made = post(gateway, "k", seeds=[1, 2]).json()
    again = post(gateway, "k", seeds=[1, 2])
    assert (again.status_code, again.json()["id"]) == (202, made["id"])
    assert len(gateway.client.get("/jobs").json()["jobs"]) == 2
    assert refused(post(gateway, "k", seeds=[1, 3])) == (422, "Idempotency-Key")


def test_a_repeated_key_does_not_begin_a_cancelled_batch_again(gateway):
    made = post(gateway, "k", seeds=[1, 2]).json()
    gateway.client.post(f"/batches/{made['id']}/cancel")
    assert post(gateway, "k", seeds=[1, 2]).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    "name",
    ["x", "batch_1", f"batch_{ULID()}_0".lower(), f"batch_{ULID()}_101".lower(), f"batch_{'z' * 26}_1"],
)
def test_what_is_no_batch_is_not_found(gateway, name):
    assert gateway.client.get(f"/batches/{name}").status_code == 404
    with pytest.raises(BatchNotFoundError):
        BatchId.parse(name)


def test_an_unknown_batch_is_not_found(gateway):
    answer = gateway.client.get(f"/batches/{BatchId(ULID(), 3)}")
    assert (answer.status_code, answer.json()["error_type"]) == (404, "batch_not_found")


@pytest.mark.parametrize("wrong", [1, 2, 4, MOST_JOBS])
def test_an_id_that_miscounts_the_jobs_is_not_found_and_cancels_nothing(gateway, wrong):
    made = batch(gateway, seeds=[1, 2, 3])
    miscounted = made["id"].removesuffix("3") + str(wrong)
    assert gateway.client.get(f"/batches/{miscounted}").status_code == 404
    assert gateway.client.post(f"/batches/{miscounted}/cancel").status_code == 404
    assert gateway.client.get(f"/batches/{made['id']}").json()["status"] == "queued"


def test_a_job_that_was_asked_for_alone_is_no_batch(gateway):
    job_id = gateway.submit()["id"]
    assert gateway.client.get(f"/batches/{job_id.replace('job_', 'batch_')}_1").status_code == 404


def test_a_job_tells_which_batch_it_is_of(gateway):
    made = batch(gateway, seeds=[1, 2])
    assert {job["request"]["batch"] for job in made["jobs"]} == {made["id"]}


def test_a_video_of_a_batch_can_be_reused_by_a_request_of_its_own(gateway):
    made = batch(gateway, seeds=[7])
    gateway.finish(made["jobs"][0]["id"])
    again = gateway.client.post("/generate/text-to-video", json=REQUEST | {"base_seed": 7, "reuse": True})
    assert (again.status_code, again.json()["id"]) == (200, made["jobs"][0]["id"])


def test_an_id_says_which_jobs_there_are():
    which = BatchId(ULID(), 3)
    assert BatchId.parse(str(which)) == which
    ids = which.job_ids()
    assert len(set(ids)) == 3
    assert ids == sorted(ids)


def test_the_same_request_gives_the_same_bodies():
    body = Batch.model_validate({"request": REQUEST, "prompts": ["a", "b"], "seeds": [3]})
    assert bodies_of(body) == bodies_of(body)
