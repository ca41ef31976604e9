"""The parser against what git writes about real trees, and against what Phorge writes."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opsroom_code_review.diff_parser import MAX_PATCH, parse_hunks, parse_patch
from opsroom_code_review.diffs import FileDiff, Line
from opsroom_code_review.paths import given as meant
from opsroom_code_review.paths import shown

DATA = Path(__file__).parent / "data"
LINES = b"".join(b"line %d\n" % number for number in range(30))
CHANGED = LINES.replace(b"line 5\n", b"LINE 5\n")


class Repository:
    """A bare repository whose trees are made without files, so that any path can stand in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._git("init", "-q", "--bare", ".")

    def tree(self, files: dict[bytes, bytes | tuple[str, bytes]]) -> str:
        """The tree that holds *files*: path → content, or mode and content."""
        self._git("read-tree", "--empty")
        entries: list[bytes] = []
        for path, value in files.items():
            mode, content = value if isinstance(value, tuple) else ("100644", value)
            name = content if mode == "160000" else self._git("hash-object", "-w", "--stdin", stdin=content).strip()
            entries.append(mode.encode() + b" " + name + b"\t" + path + b"\0")
        self._git("update-index", "-z", "--index-info", stdin=b"".join(entries))
        return self._git("write-tree").decode().strip()

    def diff(self, old: str, new: str, *options: str) -> bytes:
        return self._git("diff", *options, old, new)

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(["git", *arguments], cwd=self._folder, input=stdin, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository"))


def name(path: bytes) -> str:
    return path.decode(errors="surrogateescape")


def lines_of(content: bytes) -> list[str]:
    parts = content.decode(errors="replace").split("\n")
    return parts if parts[-1] else parts[:-1]


def applied(file: FileDiff, old: list[str]) -> list[str]:
    """What the parsed hunks make of *old*; fails where a number or a line is not what stands there."""
    result: list[str] = []
    done = 0
    for hunk in file.hunks:
        numbered = [line.old for line in hunk.lines if line.old is not None]
        start = numbered[0] - 1 if numbered else (hunk.lines[0].new or 0) - 1 - len(result) + done
        result += old[done:start]
        done = start
        for line in hunk.lines:
            if line.old is not None:
                assert (done + 1, old[done]) == (line.old, line.text)
                done += 1
            if line.new is not None:
                result.append(line.text)
                assert len(result) == line.new
    return result + old[done:]


ODD_PATHS = [
    b"plain.txt",
    b"sp ace.txt",
    b"tab\there.txt",
    b"new\nline.txt",
    b"a/b/a/in.txt",
    b"b/x b/y.txt",
    b"a b/x b/y.txt",
    b"uni\xc3\xb6.txt",
    b'quo"te\\.txt',
    b"latin\xf6.txt",
    b" leading",
    b"-dash",
    b"trailing ",
    b"bell\x07\x1b[31m",
    b"dev/null",
]


@pytest.mark.parametrize("options", [(), ("--no-prefix",), ("--src-prefix=i/", "--dst-prefix=w/")])
@pytest.mark.parametrize("path", ODD_PATHS)
def test_reads_every_path(repository: Repository, path: bytes, options: tuple[str, ...]) -> None:
    """A path that git quotes, cuts with a tab, or writes with another prefix, is read back to the byte."""
    old, new = repository.tree({path: LINES}), repository.tree({path: CHANGED})

    (file,) = parse_patch(repository.diff(old, new, *options))

    assert (file.path, file.kind, file.old_path, file.added, file.removed) == (name(path), "modified", None, 1, 1)


@pytest.mark.parametrize("options", [(), ("--no-prefix",)])
@pytest.mark.parametrize("path", ODD_PATHS)
def test_reads_paths_of_files_without_hunks(repository: Repository, path: bytes, options: tuple[str, ...]) -> None:
    """A new empty file and a new mode have only git's first line to name them."""
    nothing, empty = repository.tree({}), repository.tree({path: b""})
    executable = repository.tree({path: ("100755", b"")})

    (made,) = parse_patch(repository.diff(nothing, empty, *options))
    (changed,) = parse_patch(repository.diff(empty, executable, *options))
    (deleted,) = parse_patch(repository.diff(empty, nothing, *options))

    assert (made.path, made.kind, made.hunks) == (name(path), "added", ())
    assert (changed.path, changed.kind, changed.modes) == (name(path), "mode", ("100644", "100755"))
    assert (deleted.path, deleted.kind) == (name(path), "deleted")


@pytest.mark.parametrize("options", [("-M", "-C"), ("-M", "-C", "--no-prefix")])
def test_tells_renames_from_copies(repository: Repository, options: tuple[str, ...]) -> None:
    """A moved file and a copied one name where they came from, with their own changes."""
    old = repository.tree({b"a/moved.txt": LINES, b"kept.txt": LINES[::-1]})
    new = repository.tree(
        {b"b/mo ved.txt": CHANGED, b"kept.txt": LINES[::-1] + b"\nx", b"b/c\xc3\xb6py.txt": LINES[::-1] + b"\ny\n"}
    )

    files = {file.path: file for file in parse_patch(repository.diff(old, new, *options))}

    assert (files["b/mo ved.txt"].kind, files["b/mo ved.txt"].old_path) == ("renamed", "a/moved.txt")
    assert (files["b/cöpy.txt"].kind, files["b/cöpy.txt"].old_path, files["b/cöpy.txt"].added) == ("copied", "kept.txt", 2)
    assert files["kept.txt"].old_path is None


@pytest.mark.parametrize("options", [(), ("--binary",)])
def test_knows_binaries(repository: Repository, options: tuple[str, ...]) -> None:
    """A binary is one, with or without its bytes in the patch, and the file behind it is read as well."""
    old = repository.tree({b"b.dat": bytes(range(256)) * 9, b"z.txt": LINES})
    new = repository.tree({b"b.dat": bytes(range(255, -1, -1)) * 9, b"n.dat": b"\0\1", b"z.txt": CHANGED})

    changed, made, text = parse_patch(repository.diff(old, new, *options))

    assert (changed.path, changed.kind, changed.binary) == ("b.dat", "modified", True)
    assert (made.path, made.kind, made.binary) == ("n.dat", "added", True)
    assert (text.path, text.binary, text.added) == ("z.txt", False, 1)


def test_reads_submodules(repository: Repository) -> None:
    """A submodule is a file of one line, which names its commit."""
    old, new = (repository.tree({b"module": ("160000", digit * 40)}) for digit in (b"1", b"2"))

    (file,) = parse_patch(repository.diff(old, new))

    assert [line.text for line in file.lines()] == ["Subproject commit " + "1" * 40, "Subproject commit " + "2" * 40]


def test_lines_that_look_like_headers_stay_lines(repository: Repository) -> None:
    """What stands in a file is never taken for the patch's own lines."""
    old = repository.tree({b"f": b"-- a/x\n++ b/y\nplain\n"})
    new = repository.tree({b"f": b"plain\n++ b/y\n@@ -1 +1 @@\ndiff --git a/p b/p\n"})

    (file,) = parse_patch(repository.diff(old, new))

    assert applied(file, ["-- a/x", "++ b/y", "plain"]) == ["plain", "++ b/y", "@@ -1 +1 @@", "diff --git a/p b/p"]


def test_says_which_last_line_has_no_end(repository: Repository) -> None:
    """A missing newline at the end belongs to the line before the note about it."""
    old, new = repository.tree({b"f": b"a\nb"}), repository.tree({b"f": b"a\nc\n"})

    (file,) = parse_patch(repository.diff(old, new))

    assert list(file.lines()) == [
        Line(" ", "a", 1, 1),
        Line("-", "b", 2, None, ends=False),
        Line("+", "c", None, 2),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    old=st.lists(
        st.sampled_from([b"a", b"b\rc", b"", b"d\x0ce", "\u2028\x85f".encode(), b"\xff\xfe", b"-- x", b"g\r"]), max_size=14
    ),
    new=st.lists(st.sampled_from([b"a", b"b\rc", b"", b"D\x0ce", "\u2028\x85f".encode(), b"\xff", b"++ x", b"g"]), max_size=14),
    ends=st.tuples(st.booleans(), st.booleans()),
    context=st.sampled_from(["-U0", "-U1", "-U3"]),
)
def test_parsed_hunks_make_the_new_file(
    repository: Repository, old: list[bytes], new: list[bytes], ends: tuple[bool, bool], context: str
) -> None:
    """Applied to the old file, what was parsed gives the new one, line by line under the right numbers."""
    before, after = (b"\n".join(lines) + (b"\n" if end and lines else b"") for lines, end in zip((old, new), ends, strict=True))

    files = parse_patch(repository.diff(repository.tree({b"f": before}), repository.tree({b"f": after}), "--text", context))

    assert [file.path for file in files] == ([] if before == after else ["f"])
    for file in files:
        assert applied(file, lines_of(before)) == lines_of(after)


PATHS = st.lists(
    st.lists(st.binary(min_size=1, max_size=6).filter(lambda part: not set(b"/\0") & set(part)), min_size=1, max_size=3)
    .filter(lambda parts: not {b".", b"..", b".git"} & {part.lower() for part in parts})
    .map(b"/".join),
    max_size=6,
    unique=True,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=PATHS, new=PATHS)
def test_names_what_git_names(repository: Repository, old: list[bytes], new: list[bytes]) -> None:
    """For any two trees, the paths are those that git lists without quoting."""
    trees = [
        repository.tree({path: content for path in paths if not any(other.startswith(path + b"/") for other in paths)})
        for paths, content in ((old, LINES), (new, CHANGED))
    ]

    files = parse_patch(repository.diff(*trees, "--no-renames"))

    listed = repository.diff(*trees, "--no-renames", "--name-only", "-z").split(b"\0")[:-1]
    assert [file.path for file in files] == [name(path) for path in listed]


SOME_PATCH = (
    "From 1 Mon\nSubject: x\n---\n f | 2 +-\n\ndiff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n"
    "@@ -1,2 +1,2 @@ def f():\n"
    ' a\n-b\n+c\n\\ No newline at end of file\ndiff --git "a/\\303\\266" "b/\\303\\266"\nnew file mode 100644\n--- /dev/null\n'
    '+++ "b/\\303\\266"\n@@ -0,0 +1 @@\n+x\ndiff --cc m\n@@@ -1,2 -1,2 +1,2 @@@\n--- a\n+++ b\n-- \n2.39\n'
)


@settings(max_examples=300)
@given(at=st.integers(0, len(SOME_PATCH)), length=st.integers(0, 40), put=st.text('ab+-@ \\"\n01/\r', max_size=8))
def test_a_damaged_patch_is_refused_or_read(at: int, length: int, put: str) -> None:
    """Nothing but ValueError comes of a patch that somebody changed."""
    damaged = SOME_PATCH[:at] + put + SOME_PATCH[at + length :]

    try:
        files = parse_patch(damaged)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either way out is right, and both are looked at
    else:
        assert all(file.path for file in files)


def test_reads_a_mail_with_a_merge() -> None:
    """What stands around the files is passed over; a merge's own form is named as not shown."""
    first, second, merged = parse_patch(SOME_PATCH)

    assert (first.path, first.hunks[0].heading, second.path, second.kind) == ("f", "def f():", "ö", "added")
    assert (merged.path, merged.hunks) == ("m", ())
    assert merged.withheld is not None


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("@@ -1 +1 @@\n-a\n+b\n", "before the first file"),
        ("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n", "ends inside"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n a\n+hidden\n", "goes on after the end"),
        ("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n a\n+b\n", "does not fit"),
        ("--- a/f\n+++ b/f\n@@ -1,9999999999 +1 @@\n a\n", "no header"),
        ("diff --git a/f b/g\nindex 1..2\n", "no path"),
        ('diff --git "a/f b/g\n', "no end"),
        ('diff --git "a/\\q" "b/\\q"\n', "escape"),
    ],
)
def test_refuses_what_it_cannot_read_to_the_end(patch: str, words: str) -> None:
    """A patch in which lines could hide is refused with what is wrong with it."""
    with pytest.raises(ValueError, match=words):
        parse_patch(patch)


def test_refuses_a_patch_that_is_too_large() -> None:
    """The size is looked at before anything else."""
    with pytest.raises(ValueError, match="64 MiB"):
        parse_patch(b"x" * (MAX_PATCH + 1))


def test_reads_three_thousand_files(repository: Repository) -> None:
    """A change of 3,000 files gives 3,000 files, each with its line."""
    old = repository.tree({b"d%d/f%d.py" % (n % 50, n): ("160000", b"1" * 40) for n in range(3_000)})
    new = repository.tree({b"d%d/f%d.py" % (n % 50, n): ("160000", b"2" * 40) for n in range(3_000)})

    files = parse_patch(repository.diff(old, new))

    assert (len(files), {(file.added, file.removed) for file in files}) == (3_000, {(1, 1)})


def test_reads_what_phorge_writes() -> None:
    """Without index lines, with a tab behind names that hold spaces, and with empty binaries."""
    files = parse_patch((DATA / "phorge_kinds.diff").read_bytes())

    assert [(file.path, file.kind, file.old_path, file.added, file.removed, file.binary) for file in files] == [
        ("widgets/text.py", "renamed", "widgets/util.py", 1, 1, False),
        ("widgets/legacy.py", "deleted", None, 0, 9, False),
        ("widgets/http_client.py", "modified", None, 1, 1, False),
        ("widgets/client_copy.py", "copied", "widgets/http_client.py", 2, 0, False),
        ("scripts/sync.sh", "mode", None, 0, 0, False),
        ("docs/with space.txt", "added", None, 1, 0, False),
        ("docs/windows.txt", "modified", None, 2, 1, False),
        ("docs/noeol.txt", "modified", None, 1, 1, False),
        ("docs/größe.md", "added", None, 1, 0, False),
        ("assets/logo.png", "modified", None, 0, 0, True),
    ]
    assert files[4].modes == ("100644", "100755")
    assert next(line.text for line in files[6].lines()) == "line one\r"


@pytest.mark.parametrize("front", ["", "--- a/f\n+++ b/f\n"])
def test_reads_bare_hunks(front: str) -> None:
    """The text that GitHub and GitLab give for one file has no header that would name it."""
    (hunk,) = parse_hunks(front + "@@ -1,2 +1,3 @@ class A\n a\n+b\n c\n\\ No newline at end of file")

    assert [(line.sign, line.old, line.new, line.ends) for line in hunk.lines] == [
        (" ", 1, 1, True),
        ("+", None, 2, True),
        (" ", 2, 3, False),
    ]
    assert hunk.heading == "class A"


def test_bare_hunks_of_a_binary_are_none() -> None:
    """GitLab names a binary in place of its hunks."""
    assert parse_hunks("Binary files a/x and b/x differ\n") == ()
    assert parse_hunks("") == ()


def test_bare_hunks_with_something_between_them_are_refused() -> None:
    """Lines that belong to no hunk could hide there."""
    with pytest.raises(ValueError, match="not part of a hunk"):
        parse_hunks("@@ -1 +1 @@\n-a\n+b\nleft over\n")


@pytest.mark.parametrize("path", ODD_PATHS)
def test_a_shown_path_is_one_line_and_comes_back(path: bytes) -> None:
    """What a reader sees of a path has no control characters, is valid text, and means the same path when given back."""
    text = shown(name(path))

    assert meant(text) == name(path)
    assert text.encode().isascii() or text.isprintable()
    assert "\n" not in text
    assert "\x1b" not in text
