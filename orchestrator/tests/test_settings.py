"""opsroom.toml and servers.d, read from real files: what is found, what it means, and what a mistake is called."""

import os
import sys
from pathlib import Path

import pytest
from opsroom.settings import SUITE, Workspace, find_workspace
from opsroom_shared.config import ConfigError

SERVER = 'url = "http://127.0.0.1:8000/mcp"\ncapabilities = ["x"]\n'


def workspace(root: Path, text: str) -> Workspace:
    (root / "opsroom.toml").write_text(text)
    return Workspace(root, root / "opsroom.toml")


def drop(root: Path, file: str, text: str) -> Path:
    (root / "servers.d").mkdir(exist_ok=True)
    (root / "servers.d" / file).write_text(text)
    return root / "servers.d" / file


def test_nearest_file_upward_is_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace is the folder of the nearest opsroom.toml above the working directory."""
    monkeypatch.delenv("OPSROOM_CONFIG", raising=False)
    (tmp_path / "opsroom.toml").touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")

    assert find_workspace() == Workspace(tmp_path, tmp_path / "opsroom.toml")


def test_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OPSROOM_CONFIG wins over what is found, and a relative one starts from the working directory."""
    (tmp_path / "opsroom.toml").touch()
    monkeypatch.setenv("OPSROOM_CONFIG", "else/here.toml")
    monkeypatch.chdir(tmp_path)

    assert find_workspace() == Workspace(tmp_path / "else", tmp_path / "else" / "here.toml")


def test_no_file_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file the working directory is the workspace, with the suite's own servers on demo data."""
    monkeypatch.delenv("OPSROOM_CONFIG", raising=False)
    found = find_workspace(tmp_path)
    table = found.servers()

    assert (found, table.problems) == (Workspace(tmp_path, None), {})
    assert tuple(table.servers) == SUITE
    databases = table.servers["databases"]
    assert databases.command == ("opsroom-databases", "--demo", "--state", str(tmp_path / ".opsroom/demo/databases"))
    assert (databases.cwd, databases.capabilities) == (tmp_path, ("databases",))


def test_file_that_is_named_but_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that OPSROOM_CONFIG names must be there: no default takes its place."""
    monkeypatch.setenv("OPSROOM_CONFIG", str(tmp_path / "gone.toml"))

    with pytest.raises(ConfigError, match=r"gone\.toml: no such file"):
        find_workspace().servers()


def test_left_out_sections_keep_their_defaults(tmp_path: Path) -> None:
    """A file that only sets the deadline leaves the servers and the chain as they are."""
    found = workspace(tmp_path, "deadline = 20\n")

    assert found.settings().deadline == 20
    assert len(found.settings().chain) == 3
    assert tuple(found.servers().servers) == SUITE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[servers.a\n", "opsroom.toml: not valid TOML: "),
        (f"[servers.a]\n{SERVER}colour = 1\n", "opsroom.toml:4: servers.a.colour: unknown key"),
        ("colour = 1\n", "opsroom.toml:1: colour: unknown key"),
        (
            '[servers.a]\ncommand = "text"\ncapabilities = ["x"]\n',
            "opsroom.toml:2: servers.a.command: input should be a valid tuple",
        ),
        (
            '[servers.a]\ncommand = []\ncapabilities = ["x"]\n',
            "opsroom.toml:2: servers.a.command: tuple should have at least 1 item",
        ),
        (
            f'[servers.a]\n{SERVER}command = ["b"]\n',
            "opsroom.toml:1: servers.a: expected either `command` (a list of words) or `url`",
        ),
        (
            '[servers.a]\ncapabilities = ["x"]\n',
            "opsroom.toml:1: servers.a: expected either `command` (a list of words) or `url`",
        ),
        ('[servers.a]\nurl = "http://h/mcp"\n', "opsroom.toml:1: servers.a.capabilities: field required"),
        ('[servers.a]\nurl = "ftp://h"\ncapabilities = ["x"]\n', "opsroom.toml:2: servers.a.url: string should match pattern"),
        (f"[servers.a]\n{SERVER}call_timeout = 0\n", "opsroom.toml:4: servers.a.call_timeout: input should be greater than 0"),
        ('[servers.a]\ncommand = ["b"]\ncapabilities = ["x"]\ntoken_env = "T"\n', "`token_env` goes with `url`"),
        (f'[servers.a]\n{SERVER}env = {{ A = "b" }}\n', "`env`, `pass_env` and `cwd` go with `command`"),
        (f'[servers."a b"]\n{SERVER}', "servers.a b"),
        ('[[chain]]\nmodel = ""\n', "opsroom.toml:2: chain.0.model: string should have at least 1 character"),
        ("chain = []\n", "opsroom.toml:1: chain: tuple should have at least 1 item"),
    ],
)
def test_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """File, line, key and what was expected, in one line."""
    with pytest.raises(ConfigError) as caught:
        workspace(tmp_path, text).servers()

    assert message in str(caught.value)
    assert str(tmp_path / "opsroom.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_secret_in_a_mistake_is_not_shown(tmp_path: Path) -> None:
    """The value of a wrong key is shown without its password."""
    text = '[servers.a]\nurl = "postgres://user:hunter2@host/db"\ncapabilities = ["x"]\n'
    with pytest.raises(ConfigError) as caught:
        workspace(tmp_path, text).servers()

    assert "hunter2" not in str(caught.value)
    assert "postgres://user:***@host/db" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A file without read permission is one line too."""
    found = workspace(tmp_path, "")
    (tmp_path / "opsroom.toml").chmod(0)

    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        found.servers()


def test_file_that_is_not_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and a folder in the file's place, are one line each."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.toml").mkdir()

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        Workspace(tmp_path, tmp_path / "binary.toml").servers()
    with pytest.raises(ConfigError, match="is a directory"):
        Workspace(tmp_path, tmp_path / "folder.toml").servers()


def test_files_of_servers_d_add_servers(tmp_path: Path) -> None:
    """They come after those of opsroom.toml, file by file in the order of their names."""
    found = workspace(tmp_path, f"[servers.m]\n{SERVER}")
    drop(tmp_path, "b.toml", f"[servers.z]\n{SERVER}")
    drop(tmp_path, "a.toml", f"[servers.y]\n{SERVER}[servers.a]\n{SERVER}")
    table = found.servers()

    assert tuple(table.servers) == ("m", "y", "a", "z")
    assert table.problems == {}


def test_what_is_not_a_server_s_file_is_passed_over(tmp_path: Path) -> None:
    """Notes, backups and the lock files of editors in servers.d are not read."""
    found = workspace(tmp_path, f"[servers.m]\n{SERVER}")
    for name in ("README.md", "a.toml~", ".#a.toml", ".a.toml"):
        drop(tmp_path, name, "not TOML [")

    assert (tuple(found.servers().servers), found.servers().problems) == (("m",), {})


def test_name_that_is_taken(tmp_path: Path) -> None:
    """The first to use a name keeps it; of the later file only that entry is left out, and named."""
    found = workspace(tmp_path, f"[servers.m]\n{SERVER}")
    first = drop(tmp_path, "a.toml", f"[servers.m]\n{SERVER}[servers.n]\n{SERVER}")
    second = drop(tmp_path, "b.toml", f"[servers.n]\n{SERVER}")
    table = found.servers()

    assert tuple(table.servers) == ("m", "n")
    assert table.problems == {
        "servers.d/a.toml": f"{first}: servers.m: the name is taken; choose another",
        "servers.d/b.toml": f"{second}: servers.n: the name is taken; choose another",
    }


def test_broken_files_of_servers_d_harm_nobody(tmp_path: Path) -> None:
    """Each is a problem of its own; the other servers stay."""
    found = workspace(tmp_path, f"[servers.m]\n{SERVER}")
    drop(tmp_path, "a.toml", "[servers.a")
    drop(tmp_path, "b.toml", "deadline = 3\n")
    drop(tmp_path, "c.toml", f"[servers.c]\n{SERVER}")
    (tmp_path / "servers.d" / "d.toml").mkdir()
    (tmp_path / "servers.d" / "e.toml").symlink_to(tmp_path / "gone.toml")
    table = found.servers()

    assert tuple(table.servers) == ("m", "c")
    assert sorted(table.problems) == [f"servers.d/{name}.toml" for name in "abde"]
    assert "b.toml: servers: field required; and 1 more" in table.problems["servers.d/b.toml"]


def test_paths_of_a_command_start_from_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command with a slash and a cwd are made absolute; a bare command is left for PATH, `~` is the home folder."""
    monkeypatch.setenv("HOME", "/home/someone")
    tail = 'capabilities = ["x"]\n'
    found = workspace(
        tmp_path,
        f'[servers.a]\ncommand = ["./bin/a", "./data"]\n{tail}'
        f'[servers.b]\ncommand = ["b"]\ncwd = "sub"\n{tail}'
        f'[servers.c]\ncommand = ["~/c"]\ncwd = "~/d"\n{tail}'
        f'[servers.d]\ncommand = ["{sys.executable}"]\n{tail}',
    )
    servers = found.servers().servers

    assert (servers["a"].command, servers["a"].cwd) == ((str(tmp_path / "bin/a"), "./data"), tmp_path)
    assert (servers["b"].command, servers["b"].cwd) == (("b",), tmp_path / "sub")
    assert (servers["c"].command, servers["c"].cwd) == (("/home/someone/c",), Path("/home/someone/d"))
    assert servers["d"].command == (sys.executable,)


def test_fingerprint_follows_the_files(tmp_path: Path) -> None:
    """It stays while nothing changes, and differs after each change, addition and removal."""
    found = workspace(tmp_path, "")
    seen = [found.fingerprint(), found.fingerprint()]
    (tmp_path / "opsroom.toml").write_text("deadline = 20\n")
    seen.append(found.fingerprint())
    dropped = drop(tmp_path, "a.toml", "1")
    seen.append(found.fingerprint())
    (tmp_path / "new").write_text("2")
    (tmp_path / "new").replace(dropped)
    seen.append(found.fingerprint())
    dropped.unlink()
    seen.append(found.fingerprint())
    (tmp_path / "opsroom.toml").unlink()
    seen.append(found.fingerprint())

    assert seen[0] == seen[1]
    assert len(set(seen)) == 5
    assert seen[2] == seen[5]
