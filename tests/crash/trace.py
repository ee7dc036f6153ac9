"""What a process wrote to its files and when it was durable, read from strace.

`strace -ff -ttt -T -y` leaves one file a thread; each call has its start and duration, so
the calls of all threads can be put in the order in which they ended. `Disk` replays them:
what was written before the last completed sync of a file is safe; every later write may
be there, missing, or torn at a sector when the power goes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
_CALLS = "openat,pwrite64,write,fdatasync,fsync,ftruncate,unlink,unlinkat,rename,renameat,renameat2"
_LINE = re.compile(
    r"(?P<at>\d+\.\d+) (?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\w+).*<(?P<took>[\d.]+)>$"
)
_FILE = re.compile(r"^(?:AT_FDCWD|\d+)<(?P<path>[^>]*)>")
_TEXT = re.compile(r'"(?P<text>(?:\\x[0-9a-f]{2})*)"')


def wrapper(prefix: Path) -> list[str]:
    """Return the command line that records a program's writes."""
    calls = ["-e", f"trace={_CALLS}", "-e", "signal=none"]
    return [
        "strace",
        "-ff",
        "--seccomp-bpf",
        "-ttt",
        "-T",
        "-y",
        "-xx",
        "-s",
        "1100000",
        *calls,
        "-o",
        str(prefix),
    ]


class Call(NamedTuple):
    """One completed system call on a file."""

    began: float
    ended: float
    name: str
    path: str
    content: bytes = b""
    offset: int = 0  # or the length, for ftruncate
    target: str = ""  # of a rename


def read(prefix: Path, folder: Path) -> list[Call]:
    """Return the calls on files in `folder`, in the order in which they ended."""
    threads = prefix.parent.glob(prefix.name + ".*")
    calls = [call for thread in threads for call in _calls(thread, f"{folder.resolve()}/")]
    return sorted(calls, key=lambda call: call.ended)


def _calls(thread: Path, folder: str) -> Iterator[Call]:
    with thread.open() as lines:
        for line in lines:
            match = _LINE.match(line.rstrip())
            if match and not match["result"].startswith("-"):
                call = _call(match)
                if call is not None and call.path.startswith(folder):
                    yield call


def _call(match: re.Match[str]) -> Call | None:
    """Read one line; None for calls that change no file."""
    began, took = float(match["at"]), float(match["took"])
    name, arguments = match["call"], match["arguments"]
    when = (began, began + took)
    if name in {"unlink", "unlinkat", "rename", "renameat", "renameat2"}:
        paths = [_unhex(text).decode() for text in _TEXT.findall(arguments)]
        target = paths[1] if len(paths) > 1 else ""
        return Call(*when, name.removesuffix("at2").removesuffix("at"), paths[0], target=target)
    if name == "openat":
        truncates = "O_TRUNC" in arguments or "O_CREAT" in arguments
        paths = [_unhex(text).decode() for text in _TEXT.findall(arguments)]
        return Call(*when, "create", paths[0]) if truncates else None
    on = _FILE.match(arguments)
    if on is None:
        return None
    path, last = _plain(on["path"]), arguments.rpartition(", ")[2]
    if name in {"write", "pwrite64"}:
        content = _unhex(_TEXT.search(arguments)["text"])  # type: ignore[index]
        offset = int(last) if name == "pwrite64" else -1  # -1: at the end
        return Call(*when, "write", path, content[: int(match["result"])], offset)
    if name == "ftruncate":
        return Call(*when, name, path, offset=int(last))
    return Call(*when, "sync", path)


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _plain(path: str) -> str:
    """Undo -xx on the path that -y shows."""
    return _unhex(path).decode() if path.startswith("\\x") else path


@dataclass
class _File:
    safe: bytearray = field(default_factory=bytearray)
    unsure: list[Call] = field(default_factory=list)


class Disk:
    """Files as a disk would hold them after the calls so far."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def take(self, call: Call) -> None:
        """Let one call happen."""
        if call.name == "unlink":
            self._files.pop(call.path, None)
        elif call.name == "rename":
            self._files[call.target] = self._files.pop(call.path, _File())
        else:
            file = self._files.setdefault(call.path, _File())
            if call.name == "sync":
                self._sync(file, call)
            elif call.name != "create":
                file.unsure.append(call)

    def _sync(self, file: _File, sync: Call) -> None:
        """Make safe what had ended when the sync began; later writes stay unsure."""
        covered = [call for call in file.unsure if call.ended <= sync.began]
        file.unsure = [call for call in file.unsure if call.ended > sync.began]
        for call in covered:
            apply(file.safe, call)

    def cut(self, folder: Path, target: Path, chance: random.Random) -> int:
        """Write the files as a power cut leaves them; return how many writes were in doubt."""
        doubtful = 0
        for path, file in self._files.items():
            content = bytearray(file.safe)
            for call in file.unsure:
                doubtful += 1
                _apply_maybe(content, call, chance)
            place = target / Path(path).relative_to(folder.resolve())
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        return doubtful


def apply(content: bytearray, call: Call) -> None:
    """Change a file's content as the call does."""
    if call.name == "ftruncate":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    offset = len(content) if call.offset < 0 else call.offset
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(call.content)] = call.content


def _apply_maybe(content: bytearray, call: Call, chance: random.Random) -> None:
    """Apply the call wholly, not at all, or only some of its sectors."""
    fate = chance.randrange(3)
    if fate == 0:
        return
    if fate == 1 or call.name != "write" or call.offset < 0:
        apply(content, call)
        return
    for start in range(0, len(call.content), SECTOR):
        if chance.random() < 0.5:
            part = call.content[start : start + SECTOR]
            apply(content, call._replace(content=part, offset=call.offset + start))
