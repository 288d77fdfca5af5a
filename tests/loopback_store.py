"""What the loopback Hub keeps: repositories with their commits, refs and blobs, strictly."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from typing import Any

LFS_SUFFIXES = (".parquet", ".safetensors", ".pt", ".jpg", ".png", ".zip")
REGULAR_LIMIT = 10_000_000
"""Larger files go to large file storage whatever they are called, bytes."""
OWNERS = {"org": {"owner"}, "owner": {"owner"}, "stranger": {"stranger"}}
"""Namespace -> users that may write to it."""


SPACE_TEMPLATE = {
    "README.md": b"---\ntitle: New\nemoji: x\ncolorFrom: red\ncolorTo: red\nsdk: static\n---\n",
    "index.html": b"<p>Welcome to your static Space!</p>",
    "style.css": b"body { padding: 2rem; }",
}
"""What the Hub itself puts into a new static Space."""


class Refusal(Exception):  # noqa: N818 - an answer of the Hub, not a failure of the test
    """What the Hub answers instead of doing what it was asked."""

    def __init__(self, status: int, code: str = "", message: str = "", **extra: Any) -> None:
        super().__init__(message or code)
        self.status, self.code, self.message, self.extra = status, code, message, extra


def git_oid(content: bytes, kind: str = "blob") -> str:
    return sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file in a commit: its bytes, or a pointer to a blob of large file storage."""

    size: int
    oid: str
    content: bytes | None
    sha256: str | None = None
    pointer_size: int = 0

    @classmethod
    def regular(cls, content: bytes) -> "Entry":
        return cls(len(content), git_oid(content), content)

    @classmethod
    def pointer(cls, digest: str, size: int) -> "Entry":
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
        return cls(size, git_oid(text.encode()), None, digest, len(text))


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    files: dict[str, Entry]
    title: str
    author: str


@dataclass
class Repo:
    """One repository."""

    kind: str
    """model, dataset or space."""
    id: str
    private: bool = False
    gated: str | bool = False
    readers: set[str] = field(default_factory=set)
    """Users who were given access to a gated repository."""
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    """refs/pr/N -> commit."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    lfs_suffixes: tuple[str, ...] = LFS_SUFFIXES
    """Names of files that go to large file storage whatever their size."""

    def __post_init__(self) -> None:
        attributes = "".join(
            f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in self.lfs_suffixes
        )
        files = {".gitattributes": Entry.regular(attributes.encode())}
        if self.kind == "space":
            files |= {name: Entry.regular(text) for name, text in SPACE_TEMPLATE.items()}
        self.branches["main"] = self._add(None, files, "initial commit", "system").oid

    @property
    def owners(self) -> set[str]:
        return OWNERS[self.id.partition("/")[0]]

    def check_readable(self, user: str | None) -> None:
        if self.private and user not in self.owners:
            raise Refusal(404 if user else 401, "RepoNotFound", "Repository not found")

    def check_contents(self, user: str | None) -> None:
        self.check_readable(user)
        if self.gated and user not in self.owners | self.readers:
            message = f"Access to dataset {self.id} is restricted"
            raise Refusal(403 if user else 401, "GatedRepo", message)

    def check_writable(self, user: str | None) -> None:
        self.check_readable(user)
        if user is None:
            raise Refusal(401, message="Invalid username or password.")
        if user not in self.owners:
            raise Refusal(403, message="you have no write permission")

    def at(self, revision: str) -> Commit:
        """The commit of a branch, tag, pull request, or (abbreviated) id."""
        for refs in (self.branches, self.tags, self.pulls):
            if revision in refs:
                return self.commits[refs[revision]]
        found = [c for c in self.commits if len(revision) >= 7 and c.startswith(revision)]
        if len(found) != 1:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[found[0]]

    def entry(self, revision: str, path: str) -> Entry:
        files = self.at(revision).files
        if path not in files:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        return files[path]

    def upload_mode(self, path: str, size: int) -> str:
        return "lfs" if path.endswith(self.lfs_suffixes) or size > REGULAR_LIMIT else "regular"

    def store_blob(self, digest: str, size: int, content: bytes) -> None:
        if sha256(content).hexdigest() != digest or len(content) != size:
            raise Refusal(400, message="content does not match its hash or size")
        self.blobs[digest] = content

    def commit(
        self,
        revision: str,
        lines: Iterable[dict[str, Any]],
        user: str,
        *,
        as_pull_request: bool = False,
    ) -> Commit:
        """Apply the lines of a commit; refuses what the Hub refuses."""
        header, *operations = lines
        if header["key"] != "header" or not header["value"]["summary"]:
            raise Refusal(400, message="the first line must be a header with a summary")
        if revision not in self.branches:
            raise Refusal(404, "RevisionNotFound", f"no branch {revision}")
        head = self.branches[revision]
        if header["value"].get("parentCommit", head) != head:
            raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(self.commits[head].files)
        for operation in operations:
            self._apply(files, operation["key"], operation["value"])
        commit = self._add(head, files, header["value"]["summary"], user)
        if as_pull_request:
            self.pulls[f"refs/pr/{len(self.pulls) + 1}"] = commit.oid
        else:
            self.branches[revision] = commit.oid
        return commit

    def _apply(self, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
        apply: dict[str, Callable[[dict[str, Entry], dict[str, Any]], None]] = {
            "file": self._apply_file,
            "lfsFile": self._apply_lfs,
            "deletedFile": self._apply_delete,
        }
        path = value["path"]
        if key not in apply or path.startswith("/") or ".." in path.split("/"):
            raise Refusal(400, message=f"cannot apply {key} to {path!r}")
        apply[key](files, value)

    def _apply_file(self, files: dict[str, Entry], value: dict[str, Any]) -> None:
        from base64 import b64decode

        content = b64decode(value["content"], validate=True)
        if value["encoding"] != "base64" or self.upload_mode(value["path"], len(content)) != (
            "regular"
        ):
            raise Refusal(400, message=f"{value['path']} must be uploaded as a large file")
        files[value["path"]] = Entry.regular(content)

    def _apply_lfs(self, files: dict[str, Entry], value: dict[str, Any]) -> None:
        blob = self.blobs.get(value["oid"])
        if blob is None or len(blob) != value["size"] or value["algo"] != "sha256":
            raise Refusal(400, message="Your push was rejected: an LFS pointer has no file")
        files[value["path"]] = Entry.pointer(value["oid"], value["size"])

    def _apply_delete(self, files: dict[str, Entry], value: dict[str, Any]) -> None:
        if value["path"] not in files:
            raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
        del files[value["path"]]

    def tag(self, name: str, revision: str) -> None:
        if name in self.tags:
            raise Refusal(409, message="Tag reference exists already")
        self.tags[name] = self.at(revision).oid

    def put(self, path: str, content: bytes, user: str = "owner") -> Commit:
        """A commit made behind the client's back: one file, through the Hub's own checks."""
        from base64 import b64encode

        if self.upload_mode(path, len(content)) == "lfs":
            digest = sha256(content).hexdigest()
            self.store_blob(digest, len(content), content)
            line = {
                "key": "lfsFile",
                "value": {"path": path, "algo": "sha256", "oid": digest, "size": len(content)},
            }
        else:
            value = {"path": path, "content": b64encode(content).decode(), "encoding": "base64"}
            line = {"key": "file", "value": value}
        return self._commit_line(path, line, user)

    def remove(self, path: str, user: str = "owner") -> Commit:
        """A commit made behind the client's back: one file less."""
        return self._commit_line(path, {"key": "deletedFile", "value": {"path": path}}, user)

    def _commit_line(self, title: str, line: dict[str, Any], user: str) -> Commit:
        return self.commit("main", [{"key": "header", "value": {"summary": title}}, line], user)

    def _add(self, parent: str | None, files: dict[str, Entry], title: str, author: str) -> Commit:
        listing = "".join(f"{path} {entry.oid}\n" for path, entry in sorted(files.items()))
        text = f"{parent}\n{len(self.commits)}\n{author}\n{title}\n{listing}"
        oid = git_oid(text.encode(), "commit")
        self.commits[oid] = Commit(oid, parent, files, title, author)
        return self.commits[oid]
