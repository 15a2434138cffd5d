"""Weights from the model hub: safetensors only, asked for their size first, resumed where cut off.

What is larger than LAB_MOST_DOWNLOAD_BYTES (1.5 GB) is refused before a byte of it is fetched. The
bytes go into a partial file which the next try continues; complete and with the right SHA-256, it
takes its place in huggingface_hub's own cache.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers

from engine.core.errors import EngineError, WeightsUnavailable
from engine.core.limits import bytes_from, megabytes

FILE = "model.safetensors"
PATIENCE_SECONDS = 3.0
REMEMBERED_SECONDS = 60.0
STALL_SECONDS = 20.0
PULSE_SECONDS = 1.0
TRIES = 5
MOST_VARIABLE = "LAB_MOST_DOWNLOAD_BYTES"
MOST_BYTES = 1.5e9
SPARE_BYTES = 1e9
OTHERWISE = "Choose a bundled model, or put its safetensors file into the weights folder."
LATER = "Try again later, or choose a bundled model."
CONTINUED = "What has arrived is kept: run again to continue, or choose a bundled model."
REFUSALS = {
    401: "The model hub gives {} only to those whom it has let in.",
    403: "The model hub gives {} only to those whom it has let in.",
    404: "The model hub has no safetensors file of {}.",
}


class Download(NamedTuple):
    """Bytes that have arrived, of how many."""

    done: int
    total: int


def cached(repo: str) -> Path | None:
    """The weights of a hub repository if they are on this machine already; asks no network."""
    try:
        found = try_to_load_from_cache(repo, FILE)
    except (OSError, ValueError):  # A cache that cannot be read must not stop the listing.
        return None
    return Path(found) if isinstance(found, str) else None


_asking = threading.Lock()
_heard: dict[str, tuple[float, str]] = {}


def why_not() -> str:
    """One sentence why the hub cannot be used, or none; the answer holds for a minute."""
    if constants.HF_HUB_OFFLINE:
        return "The model hub cannot be reached from here: HF_HUB_OFFLINE is set."
    with _asking:
        at, sentence = _heard.get(constants.ENDPOINT, (float("-inf"), ""))
        if time.monotonic() - at > REMEMBERED_SECONDS:
            sentence = "" if _answers(constants.ENDPOINT) else _SILENT
            _heard[constants.ENDPOINT] = time.monotonic(), sentence
        return sentence


_SILENT = (
    f"The model hub cannot be reached from here: it did not answer within {PATIENCE_SECONDS:g} s."
)


def reachable() -> bool:
    """Whether the hub can be used; asked at most once a minute."""
    return not why_not()


def _answers(endpoint: str) -> bool:
    """Whether anything comes back in time; a thread asks, as looking up a name knows no deadline."""
    came = threading.Event()
    client = httpx.Client(timeout=PATIENCE_SECONDS)  # Reading certificates is not the hub's time.

    def ask() -> None:
        try:
            with client:
                client.head(endpoint)
            came.set()
        except httpx.HTTPError:
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return came.is_set()


def fetch(repo: str, title: str) -> Iterator[Download]:
    """Bring the weights into the hub cache, yielding progress; nothing to do if they are there.

    It yields at least once a second, 0 of 0 until the hub has said how large the file is. All who
    ask for one repository share one download, which ends when nobody waits for it any more.
    Raises WeightsUnavailable: no hub, no such file, too large, stalled, cut off, or no room for it.
    """
    if cached(repo):
        return
    if reason := why_not():
        raise WeightsUnavailable(
            f"{title} is not on this machine, and {reason[0].lower()}{reason[1:]}", OTHERWISE
        )
    yield from _joined(repo, title).watch()


class _Transfer:
    """One download, made by a thread of its own and watched by any number of visitors."""

    def __init__(self, repo: str, title: str) -> None:
        self.repo, self.title = repo, title
        self._news = threading.Condition()
        self._watchers = 1
        self._at = Download(0, 0)
        self._over = False
        self._error: EngineError | None = None

    def join(self) -> bool:
        """Count one more watcher; false where it is over."""
        with self._news:
            self._watchers += not self._over
            return not self._over

    def watch(self) -> Iterator[Download]:
        """What has arrived, whenever more has and once a second: who waits can always leave.

        Raises what ended it.
        """
        shown, over = Download(0, 0), False
        try:
            while not over:
                with self._news:
                    if self._at == shown and not self._over:
                        self._news.wait(PULSE_SECONDS)
                    fresh, shown, over = self._at != shown, self._at, self._over
                if fresh or not over:
                    yield shown
        finally:
            with self._news:
                self._watchers -= 1
        if self._error:
            raise WeightsUnavailable(self._error.sentence, self._error.hint) from self._error

    def run(self) -> None:
        try:
            _bring(self.repo, self.title, self._tell)
        except _Unwatched:
            return
        except EngineError as error:
            self._error = error
        except Exception as error:  # Nobody else would tell those who watch.
            self._error = WeightsUnavailable(
                f"{self.title} could not be fetched ({type(error).__name__}).", OTHERWISE
            )
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()

    def _tell(self, at: Download) -> None:
        with self._news:
            if not self._watchers:
                self._over = True
                raise _Unwatched
            self._at = at
            self._news.notify_all()


class _Unwatched(Exception):
    """Nobody waits for this download any more."""


_register = threading.Lock()
_under_way: dict[str, _Transfer] = {}


def _joined(repo: str, title: str) -> _Transfer:
    """The transfer of a repository that is under way, else a new one; either counts us."""
    with _register:
        transfer = _under_way.get(repo)
        if transfer is None or not transfer.join():
            transfer = _under_way[repo] = _Transfer(repo, title)
            threading.Thread(target=transfer.run, daemon=True).start()
        return transfer


class _File(NamedTuple):
    """One version of a file: where its bytes are, how many, and what names them."""

    url: str
    commit: str
    etag: str
    size: int


def _bring(repo: str, title: str, tell: Callable[[Download], None]) -> None:
    """Ask, refuse or receive, check, and put in place."""
    file = _ask(repo, title)
    home = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
    partial = home / "blobs" / f"{file.etag}.partial"
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _refuse_too_large(file, title, partial)
        with WeakFileLock(partial.with_suffix(".lock"), timeout=STALL_SECONDS):
            if not cached(repo):  # Another program may have brought it meanwhile.
                _receive(file, title, partial, tell)
                _check(file, title, partial)
                _put_in_place(file, partial, home)
    except TimeoutError as error:
        raise WeightsUnavailable(
            f"Another program on this machine is fetching {title}.", "Try again in a minute."
        ) from error
    except OSError as error:
        raise WeightsUnavailable(
            f"{title} could not be written into the hub's cache ({error.strerror}).", OTHERWISE
        ) from error


def _ask(repo: str, title: str) -> _File:
    """What the hub says of the file, without fetching it."""
    try:
        said = get_hf_file_metadata(hf_hub_url(repo, FILE), timeout=STALL_SECONDS)
    except Exception as error:  # The hub's own errors and those of two HTTP libraries.
        raise _refusal(title, error) from error
    commit, etag = said.commit_hash or "", said.etag or ""
    # Both become names of files. A sign-in page that answers in the hub's place has neither.
    if not (re.fullmatch("[0-9a-f]{40}", commit) and re.fullmatch(r"[\w-]+", etag) and said.size):
        raise WeightsUnavailable(
            f"What answers for {title} is not a model hub, but perhaps a sign-in page.", OTHERWISE
        )
    return _File(hf_hub_url(repo, FILE, revision=commit), commit, etag, said.size)


def _refusal(title: str, error: Exception) -> WeightsUnavailable:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return WeightsUnavailable(f"The model hub did not answer when asked for {title}.", LATER)
    if status in REFUSALS:
        return WeightsUnavailable(REFUSALS[status].format(title), OTHERWISE)
    return WeightsUnavailable(f"The model hub could not send {title} (HTTP {status}).", LATER)


def _refuse_too_large(file: _File, title: str, partial: Path) -> None:
    most = bytes_from(MOST_VARIABLE, MOST_BYTES)
    if file.size > most:
        raise WeightsUnavailable(
            f"{title} is {megabytes(file.size)} large, and downloads end at {megabytes(most)} here.",
            f"Choose a smaller model; whoever runs the Lab can raise {MOST_VARIABLE}.",
        )
    free = shutil.disk_usage(partial.parent).free
    if file.size - _length(partial) > free - SPARE_BYTES:
        raise WeightsUnavailable(
            f"{title} is {megabytes(file.size)} large, and the disk has {megabytes(free)} left.",
            "Choose a smaller model, or make room.",
        )


def _length(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _receive(file: _File, title: str, partial: Path, tell: Callable[[Download], None]) -> None:
    """Fetch what is missing; a connection that is cut is taken up where it broke off."""
    tell(Download(_length(partial), file.size))
    for _ in range(TRIES):
        if _length(partial) >= file.size:
            return
        try:
            _stream(file, partial, tell)
        except httpx.HTTPStatusError as error:
            raise _refusal(title, error) from error
        except httpx.TimeoutException as error:
            raise WeightsUnavailable(
                f"{title} stalled: the model hub sent nothing for {STALL_SECONDS:g} s.", CONTINUED
            ) from error
        except httpx.TransportError:
            continue
    if _length(partial) < file.size:
        raise WeightsUnavailable(
            f"The connection broke off {TRIES} times while fetching {title}.", CONTINUED
        )


def _stream(file: _File, partial: Path, tell: Callable[[Download], None]) -> None:
    """Append the bytes that are not there yet, or start again where the server cannot do that."""
    have = _length(partial)
    headers = build_hf_headers() | {"Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    answer = httpx.stream(
        "GET", file.url, headers=headers, timeout=STALL_SECONDS, follow_redirects=True
    )
    with answer as response:
        response.raise_for_status()
        appends = response.status_code == 206  # Partial content: the Range was understood.
        done = have if appends else 0
        with partial.open("ab" if appends else "wb") as out:
            for chunk in response.iter_raw():
                out.write(chunk)
                done += len(chunk)
                tell(Download(done, file.size))
                if done > file.size:
                    return


def _check(file: _File, title: str, partial: Path) -> None:
    """Raise, and drop the file, unless its size and (weights: LFS) its SHA-256 are as announced."""
    with partial.open("rb") as bytes_:
        digest = hashlib.file_digest(bytes_, "sha256").hexdigest()
    hashed = re.fullmatch("[0-9a-f]{64}", file.etag)
    if _length(partial) != file.size or (hashed and digest != file.etag):
        partial.unlink()
        raise WeightsUnavailable(f"{title} arrived damaged and was thrown away.", "Try again.")


def _put_in_place(file: _File, partial: Path, home: Path) -> None:
    """As huggingface_hub's cache is laid out where there are no links: a snapshot, and what `main` is."""
    place = home / "snapshots" / file.commit / FILE
    main = home / "refs" / constants.DEFAULT_REVISION
    for each in (place, main):
        each.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(place)
    main.write_text(file.commit, encoding="utf-8")
