"""The whole road from the hub to a model that answers, against a hub of our own on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import timm
import torch
from hub_server import COMMIT, FILE, Hub, serving
from huggingface_hub import close_session, constants, hf_hub_download
from huggingface_hub.utils import WeakFileLock
from safetensors.torch import save

from engine.core.errors import CorruptWeights, WeightsUnavailable
from engine.model import hub, zoo

ROOT = Path(__file__).parents[2]
SAMPLE = next((ROOT / "assets" / "samples").glob("*.png"))
TINY = "test_vit"
REPO = "timm/test_vit.r160_in1k"
TITLE = "Tiny"


def weights() -> bytes:
    torch.manual_seed(0)
    return save(timm.create_model(TINY).state_dict())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "_heard", {})
    monkeypatch.setattr(hub, "_under_way", {})
    return tmp_path


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 30.0)  # This machine may be busy with other tests.
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "*")
    with serving() as here:
        here.files[REPO] = weights()
        template = here.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", here.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        zoo.unload()
        yield here
        zoo.unload()
        close_session()  # The next hub may listen at the same port.


def fetched() -> list[hub.Download]:
    return list(hub.fetch(REPO, TITLE))


def refusal(match: str) -> WeightsUnavailable:
    with pytest.raises(WeightsUnavailable, match=match) as caught:
        fetched()
    assert hub.cached(REPO) is None
    assert caught.value.sentence.count(". ") == 0
    assert caught.value.sentence.endswith(".")
    return caught.value


def partials(cache: Path) -> list[int]:
    return [path.stat().st_size for path in cache.rglob("*.partial")]


def eventually(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.01)


def test_a_model_of_the_hub_is_fetched_loaded_and_answers(server: Hub) -> None:
    assert zoo.available(zoo.card(TINY)) == "from the hub"
    victim = zoo.load(TINY)
    torch.manual_seed(0)
    ours = timm.create_model(TINY).eval()
    x = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(victim.logits(x), ours((x - 0.5) / 0.5))
    assert zoo.available(zoo.card(TINY)) == "here"
    asked = len(server.asked)
    zoo.unload()
    zoo.load(TINY)
    assert len(server.asked) == asked, "what is here is not asked for again"


def test_progress_grows_to_the_size_and_the_token_stays_with_the_hub(server: Hub) -> None:
    size = len(server.files[REPO])
    steps = fetched()
    assert steps == sorted(steps)
    assert steps[-1] == (size, size)
    assert {step.total for step in steps} <= {0, size}
    assert {each.token for each in server.of("hub", "GET")} == {"Bearer hf_secret"}
    assert {each.token for each in server.of("store", "GET")} == {""}
    assert fetched() == []


def test_huggingface_hub_itself_finds_what_was_fetched(server: Hub) -> None:
    fetched()
    gets = len(server.of("store", "GET"))
    path = Path(hf_hub_download(REPO, FILE))
    assert path.read_bytes() == server.files[REPO]
    assert path == hub.cached(REPO)
    assert len(server.of("store", "GET")) == gets


def test_a_renamed_repository_is_followed(server: Hub) -> None:
    server.files["timm/new"] = server.files.pop(REPO)
    server.renamed[REPO] = "timm/new"
    fetched()
    assert hub.cached(REPO)


def test_a_connection_that_is_cut_is_taken_up_where_it_broke(server: Hub, cache: Path) -> None:
    server.cuts = [1000, 500]
    assert fetched()[-1].done == len(server.files[REPO])
    ranges = [each.range for each in server.of("store", "GET")]
    assert ranges == ["bytes=0-", "bytes=1000-", "bytes=1500-"]
    assert partials(cache) == []


def test_a_connection_that_is_always_cut_is_one_sentence_and_keeps_what_came(
    server: Hub, cache: Path
) -> None:
    server.cuts = [100] * hub.TRIES
    refusal("broke off 5 times while fetching Tiny")
    assert partials(cache) == [500]
    fetched()
    assert server.of("store", "GET")[-1].range == "bytes=500-"


def test_a_server_without_ranges_is_asked_from_the_start(server: Hub) -> None:
    server.cuts, server.knows_ranges = [1000], False
    fetched()
    path = hub.cached(REPO)
    assert path is not None
    assert path.read_bytes() == server.files[REPO]


def test_a_stall_ends_in_a_sentence_and_the_next_try_goes_on(
    server: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.STALL_SECONDS == 20
    monkeypatch.setattr(hub, "STALL_SECONDS", 2.0)
    server.gate.clear()
    server.stalls_at = 2000
    began = time.monotonic()
    refused = refusal("Tiny stalled: the model hub sent nothing for 2 s")
    assert 2 <= time.monotonic() - began < 10
    assert "continue" in refused.hint
    assert partials(cache) == [2000]
    server.gate.set()
    server.stalls_at = None
    fetched()
    assert server.of("store", "GET")[-1].range == "bytes=2000-"


def test_bytes_that_do_not_match_the_checksum_are_thrown_away(server: Hub, cache: Path) -> None:
    server.damaged = True
    refusal("arrived damaged")
    assert partials(cache) == []
    server.damaged = False
    fetched()


def test_more_bytes_than_announced_are_not_taken(server: Hub, cache: Path) -> None:
    server.says = 1000
    refusal("arrived damaged")
    assert partials(cache) == []


def test_too_large_a_model_is_refused_before_a_byte_is_fetched(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.says = 18_000_000_000
    refused = refusal("Tiny is 18,000 MB large, and downloads end at 1,500 MB")
    assert hub.MOST_VARIABLE in refused.hint
    monkeypatch.setenv(hub.MOST_VARIABLE, "1e3")
    server.says = None
    refusal("downloads end at 0.0 MB")
    assert server.of("store", "GET") == []
    monkeypatch.setenv(hub.MOST_VARIABLE, "plenty")
    refusal("LAB_MOST_DOWNLOAD_BYTES cannot be plenty")


def test_a_disk_without_room_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SPARE_BYTES", float("inf"))
    refusal("and the disk has .* MB left")
    assert server.of("store", "GET") == []


def test_a_cache_that_cannot_be_written_is_a_sentence(server: Hub, cache: Path) -> None:
    (cache / "models--timm--test_vit.r160_in1k").write_text("in the way", encoding="utf-8")
    refusal("could not be written into the hub's cache")


@pytest.mark.parametrize(
    ("upset", "sentence"),
    [
        (lambda server: server.files.clear(), "The model hub has no safetensors file of Tiny"),
        (lambda server: server.gated.add(REPO), "gives Tiny only to those whom it has let in"),
        (lambda server: setattr(server, "fails", 503), r"could not send Tiny \(HTTP 503\)"),
        (lambda server: setattr(server, "captive", True), "not a model hub, but perhaps a sign-in"),
        (lambda server: server.renamed.update({REPO: REPO}), "did not answer when asked for Tiny"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    server: Hub, upset: Callable[[Hub], object], sentence: str
) -> None:
    upset(server)
    refusal(sentence)


def test_a_store_that_refuses_is_one_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = hub._ask

    def sent_elsewhere(repo: str, title: str) -> object:
        found = ask(repo, title)
        server.files.clear()
        return found

    monkeypatch.setattr(hub, "_ask", sent_elsewhere)
    refusal("The model hub has no safetensors file of Tiny")


def test_a_fault_of_ours_in_the_thread_reaches_the_visitor(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_check", lambda *about: 1 // 0)
    refusal("Tiny could not be fetched .ZeroDivisionError.")


def test_two_visitors_share_one_download(server: Hub) -> None:
    server.gate.clear()
    seen: list[list[hub.Download]] = [[], []]

    def visit(into: list[hub.Download]) -> None:
        into.extend(hub.fetch(REPO, TITLE))

    visitors = [threading.Thread(target=visit, args=(into,)) for into in seen]
    for visitor in visitors:
        visitor.start()
    eventually(lambda: REPO in hub._under_way and hub._under_way[REPO]._watchers == 2)
    server.gate.set()
    for visitor in visitors:
        visitor.join(10)
    assert len(server.of("store", "GET")) == 1
    assert all(into[-1].done == len(server.files[REPO]) for into in seen)


def test_a_download_nobody_waits_for_stops_and_is_continued_later(server: Hub, cache: Path) -> None:
    server.gate.clear()
    visitor = hub.fetch(REPO, TITLE)
    while not next(visitor).done:
        pass
    transfer = hub._under_way[REPO]
    visitor.close()
    server.gate.set()
    eventually(lambda: transfer._over)
    (arrived,) = partials(cache)
    assert 0 < arrived < len(server.files[REPO])
    assert fetched()[-1].done == len(server.files[REPO])
    assert server.of("store", "GET")[-1].range == f"bytes={arrived}-"


def test_who_waits_for_a_stalled_download_can_always_leave(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PULSE_SECONDS", 0.05)
    server.gate.clear()
    server.stalls_at = 2000
    visitor = hub.fetch(REPO, TITLE)
    while next(visitor).done < 2000:
        pass
    began = time.monotonic()
    assert [next(visitor).done for _ in range(5)] == [2000] * 5
    visitor.close()
    assert 0.2 < time.monotonic() - began < 5


def test_another_program_that_fetches_the_same_is_waited_for(
    server: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = hub._ask(REPO, TITLE)
    blobs = cache / "models--timm--test_vit.r160_in1k" / "blobs"
    blobs.mkdir(parents=True)
    with WeakFileLock(blobs / f"{file.etag}.lock"), monkeypatch.context() as hurried:
        hurried.setattr(hub, "_ask", lambda *about: file)
        hurried.setattr(hub, "STALL_SECONDS", 0.5)
        refusal("Another program on this machine is fetching Tiny")
    fetched()


def test_nothing_is_held_while_a_model_is_on_its_way(server: Hub) -> None:
    here = zoo.load("resnet_imagenette")
    server.gate.clear()
    made: list[object] = []
    loading = threading.Thread(target=lambda: made.append(zoo.load(TINY)))
    loading.start()
    eventually(lambda: bool(server.of("store", "GET")))
    assert zoo.load("resnet_imagenette") is here
    assert zoo.load("vit_imagenette").spec.depth
    assert not made
    server.gate.set()
    loading.join(20)
    assert made == [zoo.load(TINY)]


def test_what_vanished_from_the_cache_is_a_sentence(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "cached", lambda repo: None)
    with pytest.raises(WeightsUnavailable, match="gone from the hub's cache"):
        zoo.load(TINY)


def test_a_file_that_was_cut_in_the_cache_is_a_sentence(server: Hub) -> None:
    fetched()
    path = hub.cached(REPO)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptWeights, match="is cut off"):
        zoo.load(TINY)


def test_a_cache_that_cannot_be_read_stops_no_listing(cache: Path) -> None:
    home = cache / "models--timm--test_vit.r160_in1k"
    home.mkdir()
    (home / "snapshots").write_text("no folder", encoding="utf-8")
    assert zoo.available(zoo.card(TINY)) == "from the hub"
    (home / "refs").mkdir()
    (home / "refs" / "main").write_bytes(b"\xff\xfe\xff")
    assert hub.cached(REPO) is None


def test_the_hub_is_asked_whether_it_is_there_once_a_minute(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.reachable()
    assert hub.why_not() == ""
    assert [each.path for each in server.asked] == ["/"]
    at, sentence = hub._heard[server.address]
    monkeypatch.setitem(hub._heard, server.address, (at - hub.REMEMBERED_SECONDS, sentence))
    assert hub.reachable()
    assert [each.path for each in server.asked] == ["/", "/"]


def test_no_answer_is_remembered_too(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert "did not answer within 3 s" in hub.why_not()
        assert 0.2 < time.monotonic() - began < 2
        began = time.monotonic()
        assert not hub.reachable()
        assert time.monotonic() - began < 0.1
        refusal("Tiny is not on this machine, and the model hub cannot be reached")


def test_a_closed_door_is_no_answer(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    assert "did not answer" in hub.why_not()


def test_switched_off_is_said_and_asks_nobody(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in hub.why_not()
    refusal("HF_HUB_OFFLINE is set")
    assert server.asked == []


def test_listing_and_importing_ask_no_network(server: Hub) -> None:
    for each in zoo.cards():
        zoo.available(each)
    zoo.problems()
    assert server.asked == []


@pytest.mark.slow
def test_the_whole_road_from_the_command_line(server: Hub, tmp_path: Path) -> None:
    environment = os.environ | {
        "HF_ENDPOINT": server.address,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
        "LAB_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "engine", "attack", str(SAMPLE), "--model", TINY]
    command += ["--attack", "fgsm", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "home").rglob(f"snapshots/{COMMIT}/{FILE}"))
    assert list((tmp_path / "out").iterdir())
