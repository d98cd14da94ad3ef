"""Build the codec's C core for 64-bit ARM and run the golden streams through it, on a machine of another kind.

    python tests/arm64.py [FOLDER]

Cross-compiles with gcc-aarch64-linux-gnu and runs under qemu-aarch64 (package qemu-user) with the arm64 Python of Debian
and the aarch64 wheels of numpy and pydantic. apt and pip fetch those into FOLDER (default `build/arm64`); nothing is installed on
this machine and no root is needed. Where a tool is missing, it says which and ends well.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
TOOLS = {COMPILER: "gcc-aarch64-linux-gnu", EMULATOR: "qemu-user", "apt-get": "apt", "dpkg-deb": "dpkg"}
PACKAGES = ("python3-minimal", "libpython3-stdlib", "libpython3-dev", "libstdc++6")
WHEELS = ("numpy", "pydantic", "zstandard")
SOURCES = ("_native.c", "bits.c", "coding.c", "model.c", "planes.c")


def run(*command: str, **environment: str) -> str:
    """Run a command and return what it printed."""
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    return ran.stdout.strip()


def fetch_system(folder: Path) -> Path:
    """A root folder with Debian's arm64 Python, from the archive that this machine's apt knows."""
    root, state = folder / "root", folder / "apt"
    if (root / "usr/bin/python3").exists():
        return root
    for needed in ("lists/partial", "archives/partial"):
        (state / needed).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": str(state),
        "Dir::State::status": str(state / "status"),
        "Dir::State::Lists": str(state / "lists"),
        "Dir::Cache": str(state),
        "Dir::Cache::archives": str(state / "archives"),
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    run(*apt, "update")
    run(*apt, "install", "--yes", "--download-only", "--no-install-recommends", *PACKAGES)
    for package in sorted((state / "archives").glob("*.deb")):
        run("dpkg-deb", "-x", str(package), str(root))
    return root


def fetch_wheels(folder: Path, version: str) -> Path:
    """A folder with the packages that the codec imports, built for aarch64."""
    target = folder / "site"
    if not (target / "numpy").exists():
        platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in (17, 27, 28)]
        chosen = ["--only-binary=:all:", *platforms, "--platform=manylinux2014_aarch64", f"--python-version={version}"]
        constraints = ["-c", str(ROOT / "constraints.txt")]
        run(sys.executable, "-m", "pip", "install", "-q", "--target", str(target), *chosen, *constraints, *WHEELS)
    return target


def build(folder: Path, root: Path, version: str) -> Path:
    """The package's codec and contract with the core compiled for aarch64, in a folder to import from."""
    package = folder / "package" / "isthmus"
    shutil.rmtree(package.parent, ignore_errors=True)
    for part in ("__init__.py", "errors.py", "contract", "codec"):
        source = ROOT / "src/isthmus" / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        package.mkdir(parents=True, exist_ok=True)
        copy(source, package / part)
    for stranger in package.rglob("*.so"):
        stranger.unlink()
    core = package / "codec/core"
    headers = [f"-I{root}/usr/include/python{version}", f"-I{root}/usr/include"]
    output = str(package / "codec/_native.abi3.so")
    run(COMPILER, "-std=c99", "-O3", "-Wall", "-shared", "-fPIC", *headers, *(str(core / name) for name in SOURCES), "-o", output)
    return package.parent


def main() -> None:
    """Build and run, or say what is missing."""
    missing = [f"{tool} (package {package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} is not here")
        return
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/arm64").resolve()
    root = fetch_system(folder)
    python = [EMULATOR, "-L", str(root), str(root / "usr/bin/python3")]
    version = run(*python, "-c", "import sys; print('{}.{}'.format(*sys.version_info))", PYTHONHOME=str(root / "usr"))
    path = os.pathsep.join([str(build(folder, root, version)), str(fetch_wheels(folder, version))])
    settings = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    told = run(*python, "-c", "import platform; print(platform.machine(), platform.python_version())", **settings)
    found = run(*python, str(ROOT / "tests/golden/codec_streams.py"), **settings)
    assert "C core" in found, found
    print(f"{told}: {found}")


if __name__ == "__main__":
    main()
