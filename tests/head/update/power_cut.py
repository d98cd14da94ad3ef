"""An update in a process that is killed at its n-th step on the disk, for every n; then the device starts again, and finishes.

python power_cut.py FOLDER FACTORY RELEASE TRUST accept|withdraw     prints one JSON object

The process forks for every attempt, so that the libraries are imported once. A step is any call that changes what lies in the
folder, and every time that something is seen on the disk.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import structlog

from isthmus.contract.bundle import open_bundle
from isthmus.contract.trust import read_trusted
from isthmus.head.update.boot import choose
from isthmus.head.update.download import DownloadSettings
from isthmus.head.update.from_file import FileSource
from isthmus.head.update.precedence import Edition
from isthmus.head.update.rehearsal import Part
from isthmus.head.update.staging import Running, Staging
from isthmus.head.update.state import UpdateState
from isthmus.head.update.store import UpdateStore

FOLDER, FACTORY, RELEASE, TRUST = map(Path, sys.argv[1:5])
WAY = sys.argv[5]
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "the disk"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def start():
    """The agent's start; the version that runs. Every file of it was checked."""
    return choose(UpdateStore(FOLDER), FACTORY, read_trusted(TRUST)).bundle.manifest.version


def rehearse(archive, *, cache, part, **_asked):
    """The steps of a rehearsal on the disk; what it computes is tested where it is tested."""
    open_bundle(archive, cache=cache, trusted=read_trusted(Path(part.trust)))


def update():
    """The agent starts; then the whole way of a new bundle, unless it is on trial already. The versions before and after."""
    store = UpdateStore(FOLDER).prepare()
    version = start()
    if not store.read().on_trial:
        running = Running(edition=Edition(id="tiny", version=version, created=""), manifest_sha256="")
        staging = Staging(store, Part(trust=str(TRUST)), DownloadSettings(), wait=lambda _s: False, rehearse=rehearse)
        staging.take(FileSource(RELEASE), running)
        store.change(UpdateState.begin)
    if WAY == "accept":
        store.change(UpdateState.confirm)
    else:
        store.change(lambda state: state.roll_back("withdrawn") if state.on_trial else state)
    store.prune()
    return version, start()


def kill_at(number):
    """Die at the n-th step from here on."""
    left = [number]
    sync = os.fsync

    def look(event, arguments):
        changes = event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING)
        if not changes or (event != "the disk" and not str(arguments[0]).startswith(str(FOLDER))):
            return
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def told(descriptor):
        sys.audit("the disk", descriptor)
        sync(descriptor)

    os.fsync = told
    sys.addaudithook(look)


def forked(work):
    """What `work` returns in a process of its own; None where that was killed."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(theirs, json.dumps(work()).encode())
        except BaseException:
            os.write(theirs, json.dumps({"error": traceback.format_exc()}).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return None
    return json.loads(said)


def attempt(number):
    kill_at(number)
    return update()


def main():
    runs, number = [], 0
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    while True:
        number += 1
        for path in FOLDER.glob("**/*"):
            if path.is_file():
                path.unlink()
        done = forked(lambda number=number: attempt(number))
        started, finished = forked(update)
        runs.append({"done": done, "started": started, "finished": finished, "state": UpdateStore(FOLDER).read().model_dump()})
        if done is not None:
            break
    files = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("*"))
    print(json.dumps({"runs": runs, "files": files}))


if __name__ == "__main__":
    main()
