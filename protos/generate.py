"""Generates the Python code of the protocol into a folder: `python protos/generate.py FOLDER`."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
THIRD_PARTY = PROTOS.parent / "build" / "third_party"

# What our protos import from others, with what those import in turn, as named in the wheel of
# googleapis-common-protos and as they must be imported.
_IMPORTED = {
    "google/api/annotations.proto": "google/api/annotations.proto",
    "google/api/client.proto": "google/api/client.proto",
    "google/api/field_behavior.proto": "google/api/field_behavior.proto",
    "google/api/http.proto": "google/api/http.proto",
    "google/api/launch_stage.proto": "google/api/launch_stage.proto",
    "google/longrunning/operations_proto.proto": "google/longrunning/operations.proto",
    "google/rpc/status.proto": "google/rpc/status.proto",
}


def copy_third_party() -> None:
    """Copies the third-party protos from the installed wheel to where `buf.yaml` expects them."""
    wheel = distribution("googleapis-common-protos")
    for source, name in _IMPORTED.items():
        copy = THIRD_PARTY / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(wheel.locate_file(source)), copy)


def generate(target: Path) -> None:
    """Writes `palmfolio/v1/*_pb2*.py` and their `.pyi` below `target`.

    Raises:
        subprocess.CalledProcessError: a proto does not compile.
    """
    copy_third_party()
    # The stub plugins are in this interpreter's folder, which need not be on the PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    outputs = ["python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out"]
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        *("-I", str(PROTOS), "-I", str(THIRD_PARTY)),
        *(f"--{output}={'quiet:' if 'mypy' in output else ''}{target}" for output in outputs),
        *sorted(str(proto) for proto in PROTOS.glob("palmfolio/v1/*.proto")),
    ]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
