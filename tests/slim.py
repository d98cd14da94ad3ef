"""Build the wheel, install it with the extra `head` alone and with `tail` alone, and show that torch stays away.

python tests/slim.py
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "head": "import isthmus.head.agent, isthmus.head.placement, isthmus.head.source, isthmus.head.link",
    "tail": "import isthmus.tail.server",
}
CHECK = "import sys; absent = {'torch', 'onnx_ir', 'sklearn'} & set(sys.modules); assert not absent, absent"


def run(*command: str, cwd: Path) -> str:
    """Run a command and return what it printed; its errors go where ours go."""
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Check both extras."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT), cwd=folder)
        wheel = next(folder.glob("isthmus-*.whl"))
        for extra, program in PROGRAMS.items():
            place = folder / extra
            venv.create(place, with_pip=True)
            python = str(place / "bin" / "python")
            requirement = f"{wheel}[{extra}]"
            run(python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), requirement, cwd=folder)
            run(python, "-c", f"{program}; {CHECK}", cwd=folder)
            run(python, "-m", "isthmus", "--version", cwd=folder)
            size = sum(file.stat().st_size for file in (place / "lib").rglob("*") if file.is_file() and not file.is_symlink())
            installed = run(python, "-m", "pip", "list", "--format=freeze", cwd=folder)
            assert "torch==" not in installed, installed
            print(f"isthmus[{extra}] imports without torch; the environment has {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
