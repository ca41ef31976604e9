"""What this machine does, under the names that the node exporter uses."""

import contextlib
import socket
from collections.abc import Iterator

import psutil

from .exposition import Description, Exposed

_MOUNTS = 30
_DEVICES = 30

ABOUT = {
    "node_cpu_seconds_total": Description("counter", "Seconds that the processors spent in each mode.", "seconds"),
    "node_load1": Description("gauge", "Processes that run or wait, over a minute."),
    "node_load5": Description("gauge", "Processes that run or wait, over five minutes."),
    "node_load15": Description("gauge", "Processes that run or wait, over a quarter of an hour."),
    "node_memory_MemTotal_bytes": Description("gauge", "Memory of the machine.", "bytes"),
    "node_memory_MemAvailable_bytes": Description("gauge", "Memory that programs can still get.", "bytes"),
    "node_memory_SwapTotal_bytes": Description("gauge", "Swap of the machine.", "bytes"),
    "node_memory_SwapFree_bytes": Description("gauge", "Swap that is free.", "bytes"),
    "node_filesystem_size_bytes": Description("gauge", "Size of a file system.", "bytes"),
    "node_filesystem_avail_bytes": Description("gauge", "Room that programs can still get.", "bytes"),
    "node_disk_read_bytes_total": Description("counter", "Bytes read from a disk.", "bytes"),
    "node_disk_written_bytes_total": Description("counter", "Bytes written to a disk.", "bytes"),
    "node_network_receive_bytes_total": Description("counter", "Bytes that came in.", "bytes"),
    "node_network_transmit_bytes_total": Description("counter", "Bytes that went out.", "bytes"),
    "node_boot_time_seconds": Description("gauge", "When the machine started, unix time.", "seconds"),
}


def look() -> list[Exposed]:
    """The host now. What this machine does not tell is left out."""
    base = {"job": "host", "instance": socket.gethostname()}

    def sample(name: str, value: float, **labels: str) -> Exposed:
        return Exposed(name, tuple(sorted({**base, **labels}.items())), float(value))

    found: list[Exposed] = [sample("up", 1.0)]
    for part in (_processor, _memory, _file_systems, _disks, _network):
        with contextlib.suppress(OSError, psutil.Error, NotImplementedError):
            found += [sample(name, value, **labels) for name, value, labels in part()]
    return found


def _processor() -> Iterator[tuple[str, float, dict[str, str]]]:
    for mode, seconds in psutil.cpu_times()._asdict().items():
        if mode not in ("guest", "guest_nice"):  # counted in user and nice already
            yield "node_cpu_seconds_total", seconds, {"mode": mode}
    for minutes, load in zip(("1", "5", "15"), psutil.getloadavg(), strict=True):
        yield f"node_load{minutes}", load, {}
    yield "node_boot_time_seconds", psutil.boot_time(), {}


def _memory() -> Iterator[tuple[str, float, dict[str, str]]]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    yield "node_memory_MemTotal_bytes", memory.total, {}
    yield "node_memory_MemAvailable_bytes", memory.available, {}
    yield "node_memory_SwapTotal_bytes", swap.total, {}
    yield "node_memory_SwapFree_bytes", swap.free, {}


def _file_systems() -> Iterator[tuple[str, float, dict[str, str]]]:
    for mount in psutil.disk_partitions(all=False)[:_MOUNTS]:
        with contextlib.suppress(OSError):
            usage = psutil.disk_usage(mount.mountpoint)
            labels = {"mountpoint": mount.mountpoint, "device": mount.device, "fstype": mount.fstype}
            yield "node_filesystem_size_bytes", usage.total, labels
            yield "node_filesystem_avail_bytes", usage.free, labels


def _disks() -> Iterator[tuple[str, float, dict[str, str]]]:
    for device, counters in sorted(psutil.disk_io_counters(perdisk=True).items())[:_DEVICES]:
        yield "node_disk_read_bytes_total", counters.read_bytes, {"device": device}
        yield "node_disk_written_bytes_total", counters.write_bytes, {"device": device}


def _network() -> Iterator[tuple[str, float, dict[str, str]]]:
    for device, counters in sorted(psutil.net_io_counters(pernic=True).items())[:_DEVICES]:
        yield "node_network_receive_bytes_total", counters.bytes_recv, {"device": device}
        yield "node_network_transmit_bytes_total", counters.bytes_sent, {"device": device}
