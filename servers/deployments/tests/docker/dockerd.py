"""A private Docker Engine with the images of the tests, which leaves nothing behind.

Run as a program it says in one line of JSON where it is, and goes on until its standard input ends.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, cast

import docker
import docker.errors
import requests

SHOP: Final = "shop"
PROXY: Final = "proxy:test"
_START_SECONDS = 60.0
_NEEDED = ("dockerd", "containerd", "runc", "iptables", "haproxy", "gcc", "ldd")
_CHECK = 'HEALTHCHECK --interval=300ms --timeout=2s --retries=10 CMD ["/shop", "check"]'
_RELEASES: Mapping[str, Sequence[str]] = {
    "1": [_CHECK],
    "2": [_CHECK],
    "3": [_CHECK],
    "stubborn": [_CHECK, "ENV ON_TERM=ignore"],
    "abrupt": [_CHECK, "ENV ON_TERM=exit"],
    "sick": ['HEALTHCHECK --interval=300ms --timeout=2s --retries=2 CMD ["/shop", "check"]', "ENV SICK=1"],
    "crashing": [_CHECK, "ENV CRASH_MS=100"],
    "late": [_CHECK, "ENV CRASH_MS=4000"],
    "never": ['HEALTHCHECK --interval=300ms --timeout=2s --retries=2 CMD ["/shop", "check"]', "ENV BOOT_MS=600000"],
    "unchecked": [],
    "unchecked-sick": ["ENV SICK=1"],
    "unchecked-never": ["ENV BOOT_MS=600000"],
}
"""Tags of the shop, and how each behaves."""


class _Client(Protocol):
    """What is used of docker.APIClient."""

    def ping(self) -> bool: ...
    def close(self) -> None: ...
    def containers(self, *, all: bool) -> Sequence[Mapping[str, str]]: ...  # noqa: A002 - its name
    def remove_container(self, container: str, *, force: bool, v: bool) -> None: ...
    def kill(self, container: str) -> None: ...
    def inspect_container(self, container: str) -> Mapping[str, Mapping[str, object]]: ...
    def networks(self) -> Sequence[Mapping[str, str]]: ...
    def remove_network(self, net_id: str) -> None: ...
    def import_image_from_data(self, data: bytes, *, repository: str, tag: str, changes: Sequence[str]) -> str: ...


class DockerMissing(Exception):
    """Why no engine can be started here."""


class PrivateDocker:
    """An engine with its own socket, data and address range. It changes no rule of the machine's packet filter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            *("dockerd", "--host", self.socket, "--pidfile", f"{self._folder}/pid"),
            *("--data-root", f"{self._folder}/data", "--exec-root", f"{self._folder}/exec"),
            *("--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"),
            *("--default-address-pool", "base=10.231.0.0/16,size=24", "--config-file", f"{self._folder}/daemon.json"),
        ]
        (self._folder / "daemon.json").write_text("{}", encoding="utf-8")
        with (self._folder / "log").open("ab") as log:
            # its own group, so that what it starts can be ended with it
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self._folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
                self.stop()
                raise DockerMissing(f"dockerd does not start here: {said}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the engine and leaves its containers as a machine that goes down does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None

    def clear(self) -> None:
        with self.client() as client:
            for each in client.containers(all=True):
                client.remove_container(each["Id"], force=True, v=True)
            for each in client.networks():
                if each["Name"] not in ("bridge", "host", "none"):
                    client.remove_network(each["Id"])

    def kill(self, name: str) -> None:
        with self.client() as client:
            client.kill(name)

    def inspect(self, name: str) -> Mapping[str, Mapping[str, object]]:
        """All that the engine says of a container."""
        with self.client() as client:
            return client.inspect_container(name)

    @contextlib.contextmanager
    def client(self) -> Generator[_Client]:
        client = cast("_Client", docker.APIClient(self.socket, version="auto", timeout=60))
        try:
            yield client
        finally:
            client.close()

    def load_images(self) -> None:
        shop = self._folder / "shop"
        source = Path(__file__).with_name("shop.c")
        subprocess.run(["gcc", "-O2", "-static", "-D_GNU_SOURCE", "-o", shop, source, "-lpthread"], check=True, timeout=120)
        about = ['ENTRYPOINT ["/shop"]', 'CMD ["serve"]', "EXPOSE 8080"]
        content = _archive({"shop": shop})
        haproxy = shutil.which("haproxy") or "haproxy"
        with self.client() as client:
            for tag, more in _RELEASES.items():
                release = f"ENV RELEASE={tag}"
                client.import_image_from_data(content, repository=SHOP, tag=tag, changes=[*about, release, *more])
            client.import_image_from_data(
                _archive({"usr/sbin/haproxy": Path(haproxy), **_libraries(haproxy)}), repository="proxy", tag="test", changes=[]
            )

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:  # the client leaves a socket open where nobody listens
            if probe.connect_ex(self.socket.removeprefix("unix://")) != 0:
                return False
        try:
            with self.client() as client:
                return client.ping()
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False


@contextlib.contextmanager
def private_docker() -> Generator[PrivateDocker]:
    """Raises DockerMissing where none can be started."""
    missing = [name for name in _NEEDED if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None]
    if missing:
        packages = "docker.io haproxy iptables gcc libc6-dev"
        raise DockerMissing(f"not installed: {', '.join(missing)}; on Debian apt-get install {packages}")
    if os.geteuid() != 0:
        raise DockerMissing("a Docker Engine of its own can be started by root only")
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    folder = Path(tempfile.mkdtemp(prefix="dk-", dir="/tmp"))  # short, because the path of a socket has to be
    engine = PrivateDocker(folder)
    try:
        engine.start()
        engine.load_images()
        yield engine
        engine.clear()
    finally:
        engine.stop()
        _unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _libraries(program: str) -> dict[str, Path]:
    """The shared libraries of *program*, each where the loader looks for it."""
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True, timeout=30).stdout
    paths = [word for line in said.splitlines() for word in line.split() if word.startswith("/")]
    return {path.lstrip("/"): Path(path).resolve() for path in paths}


def _archive(files: Mapping[str, Path]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, file in files.items():
            entry = tarfile.TarInfo(name)
            content = file.read_bytes()
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _unmount(folder: Path) -> None:
    """What a killed engine leaves mounted would keep its folder from being removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for each in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", each], check=False, timeout=30)


def main() -> None:
    try:
        with private_docker() as engine:
            print(json.dumps({"socket": engine.socket, "proxy": PROXY, "shop": SHOP}), flush=True)  # noqa: T201 - what it is run for
            sys.stdin.read()
    except DockerMissing as error:
        print(json.dumps({"missing": str(error)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
