"""What the loopback Hub answers: one handler a route of the real one."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs

import yaml
from loopback_store import Entry, Refusal, Repo

LICENCES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-sa-4.0", "cc0-1.0", "other", "unknown"}
CATEGORIES = {"image-segmentation", "image-classification", "object-detection"}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
MAX_SAMPLE = 512
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Request:
    """What a handler is given."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes
    user: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Response:
    """What a handler gives back."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: Any, status: int = 200) -> "Response":
        return cls(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


class Hub(Protocol):
    """What handlers ask of the server."""

    endpoint: str
    blob_host: str
    repos: dict[tuple[str, str], Repo]
    before_commit: Callable[[Repo], Any] | None

    def find(self, kind: str, name: str, user: str | None) -> Repo: ...


Handler = Callable[..., Response]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []
API = r"/api/(?P<kind>model|dataset|space)s/(?P<repo>[\w.-]+/[\w.-]+)"
WEB = r"/(?:(?P<kind>dataset|space)s/)?(?P<repo>[\w.-]+/[\w.-]+)"
REV = r"(?P<revision>[^/]+)"


def route(methods: str, pattern: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        ROUTES.extend((m, re.compile(pattern), handler) for m in methods.split())
        return handler

    return add


def refused(refusal: Refusal) -> Response:
    body = {"error": refusal.message or refusal.code, **refusal.extra}
    response = Response.of_json(body, refusal.status)
    if refusal.code:
        response.headers["X-Error-Code"] = refusal.code
    response.headers["X-Error-Message"] = refusal.message
    return response


# account and repositories ------------------------------------------------------------------------


@route("GET", "/api/whoami-v2")
def _whoami(hub: Hub, request: Request) -> Response:
    if request.user is None:
        raise Refusal(401, message="Invalid username or password.")
    return Response.of_json({"type": "user", "name": request.user, "orgs": [{"name": "org"}]})


def _address(hub: Hub, kind: str, name: str) -> str:
    return f"{hub.endpoint}/{'' if kind == 'model' else f'{kind}s/'}{name}"


@route("POST", "/api/repos/create")
def _create(hub: Hub, request: Request) -> Response:
    given = request.json
    if request.user is None:
        raise Refusal(401, message="Invalid username or password.")
    name = f"{given.get('organization') or request.user}/{given['name']}"
    kind = given.get("type", "model")
    url = _address(hub, kind, name)
    if (kind, name) in hub.repos:
        raise Refusal(409, message="You already created this repo", url=url)
    if (kind == "space") != ("sdk" in given) or given.get("sdk", "static") != "static":
        raise Refusal(400, message="sdk must be static for a Space, and is for nothing else")
    repo = Repo(kind, name, private=given.get("visibility") == "private")
    repo.check_writable(request.user)
    hub.repos[kind, name] = repo
    return Response.of_json({"url": url, "name": name})


@route("DELETE", "/api/repos/delete")
def _delete(hub: Hub, request: Request) -> Response:
    given = request.json
    kind, name = given.get("type", "model"), f"{given['organization']}/{given['name']}"
    hub.find(kind, name, request.user).check_writable(request.user)
    del hub.repos[kind, name]
    return Response()


@route("PUT", API + "/settings")
def _settings(hub: Hub, request: Request, kind: str, repo: str) -> Response:
    found = hub.find(kind, repo, request.user)
    found.check_writable(request.user)
    found.gated = request.json.get("gated", found.gated)
    found.private = request.json.get("visibility", "") == "private" or found.private
    return Response.of_json({})


@route("POST", "/api/validate-yaml")
def _validate_yaml(hub: Hub, request: Request) -> Response:
    content = request.json["content"]
    block = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    errors_of = _space_errors if request.json["repoType"] == "space" else _card_errors
    errors = errors_of(block[1]) if block else ["no metadata block"]
    listed = [{"message": message} for message in errors]
    return Response.of_json({"errors": listed, "warnings": []}, 400 if errors else 200)


def _card_errors(text: str) -> list[str]:
    try:
        card = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [f"no YAML: {error}"]
    if not isinstance(card, dict):
        return ["the metadata is no mapping"]
    errors = []
    if card.get("license", "unknown") not in LICENCES:
        errors.append(f'"license" {card["license"]!r} must be one of {sorted(LICENCES)}')
    if (card.get("license") == "other") != ("license_name" in card):
        errors.append('"license_name" goes with license: other')
    if not set(card.get("task_categories", ())) <= CATEGORIES:
        errors.append(f'"task_categories" {card["task_categories"]}')
    for size in card.get("size_categories", ()):
        if not re.fullmatch(r"n<1K|\d+K<n<\d+[KM]", size):
            errors.append(f'"size_categories" {size}')
    return errors


def _space_errors(text: str) -> list[str]:
    card = yaml.safe_load(text)
    errors = []
    if card.get("sdk") != "static" or not str(card.get("app_file", "")).endswith(".html"):
        errors.append('"sdk" must be static here, with an "app_file"')
    if not {card.get("colorFrom"), card.get("colorTo")} <= COLOURS:
        errors.append('"colorFrom" and "colorTo" must be colours of the Hub')
    if not card.get("title") or len(str(card.get("emoji", ""))) != 1:
        errors.append('"title" and one "emoji" are required')
    return errors


@route("GET", API + f"(?:/revision/{REV})?")
def _info(hub: Hub, request: Request, kind: str, repo: str, revision: str = "main") -> Response:
    found = hub.find(kind, repo, request.user)
    commit = found.at(revision)
    siblings = [{"rfilename": path} for path in sorted(commit.files)]
    facts = {"private": found.private, "gated": found.gated, "disabled": False, "downloads": 0}
    names = {"id": repo, "_id": "0" * 24, "author": repo.partition("/")[0], "tags": [], "likes": 0}
    return Response.of_json({**names, **facts, "sha": commit.oid, "siblings": siblings})


@route("GET", API + "/refs")
def _refs(hub: Hub, request: Request, kind: str, repo: str) -> Response:
    found = hub.find(kind, repo, request.user)

    def listed(refs: dict[str, str], place: str) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"{place}{name}", "targetCommit": c} for name, c in refs.items()
        ]

    return Response.of_json(
        {
            "branches": listed(found.branches, "refs/heads/"),
            "tags": listed(found.tags, "refs/tags/"),
            "converts": [],
            "pullRequests": listed(found.pulls, ""),
        }
    )


@route("GET", API + f"/commits/{REV}")
def _commits(hub: Hub, request: Request, kind: str, repo: str, revision: str) -> Response:
    found = hub.find(kind, repo, request.user)
    listed, commit = [], found.at(revision)
    while True:
        authors = [{"user": commit.author}]
        date = "2026-01-02T03:04:05.000Z"
        title = {"title": commit.title, "message": ""}
        listed.append({"id": commit.oid, "authors": authors, "date": date, **title})
        if commit.parent is None:
            return Response.of_json(listed)
        commit = found.commits[commit.parent]


@route("POST", API + f"/tag/{REV}")
def _tag(hub: Hub, request: Request, kind: str, repo: str, revision: str) -> Response:
    found = hub.find(kind, repo, request.user)
    found.check_writable(request.user)
    found.tag(request.json["tag"], revision)
    return Response.of_json({})


# files: reading ----------------------------------------------------------------------------------


def _described(path: str, entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.sha256:
        pointer = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
        facts["lfs"] = pointer
    return facts


@route("GET", API + f"/tree/{REV}(?:/(?P<folder>.+))?")
def _tree(
    hub: Hub, request: Request, kind: str, repo: str, revision: str, folder: str = ""
) -> Response:
    files = hub.find(kind, repo, request.user).at(revision).files
    prefix = f"{folder}/" if folder else ""
    inside = {path: entry for path, entry in files.items() if path.startswith(prefix)}
    if folder and not inside:
        raise Refusal(404, "EntryNotFound", f"{folder} does not exist")
    is_recursive = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
    listed, folders = [], set()
    for path, entry in sorted(inside.items()):
        parents = path.removeprefix(prefix).split("/")[:-1]
        folders |= {prefix + "/".join(parents[: i + 1]) for i in range(len(parents))}
        if is_recursive or not parents:
            listed.append(_described(path, entry))
    shown = folders if is_recursive else {f for f in folders if "/" not in f.removeprefix(prefix)}
    tree = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": f} for f in sorted(shown)]
    return Response.of_json(tree + listed)


@route("POST", API + f"/paths-info/{REV}")
def _paths_info(hub: Hub, request: Request, kind: str, repo: str, revision: str) -> Response:
    files = hub.find(kind, repo, request.user).at(revision).files
    if request.headers["Content-Type"].startswith("application/json"):
        paths = request.json["paths"]
    else:
        paths = parse_qs(request.body.decode())["paths"]
    found = [_described(path, files[path]) for path in paths if path in files]
    folders = [p for p in paths if any(path.startswith(f"{p}/") for path in files)]
    directories = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": p} for p in folders]
    return Response.of_json(found + directories)


@route("GET HEAD", WEB + f"/resolve/{REV}/(?P<path>.+)")
def _resolve(
    hub: Hub, request: Request, kind: str, repo: str, revision: str, path: str
) -> Response:
    found = hub.find(kind, repo, request.user)
    commit = found.at(revision)
    try:
        found.check_contents(request.user)
        entry = found.entry(revision, path)
    except Refusal as refusal:
        response = refused(refusal)
        response.headers["X-Repo-Commit"] = commit.oid
        return response
    headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{entry.oid}"'}
    if entry.content is not None:
        return _ranged(request, entry.content, headers)
    headers["X-Linked-ETag"] = f'"{entry.sha256}"'
    headers["X-Linked-Size"] = str(entry.size)
    headers["Location"] = f"http://{hub.blob_host}/blobs/{kind}/{repo}/{entry.sha256}"
    return Response(status=302, headers=headers)


@route("GET", r"/blobs/(?P<kind>\w+)/(?P<repo>[\w.-]+/[\w.-]+)/(?P<digest>\w+)")
def _blob(hub: Hub, request: Request, kind: str, repo: str, digest: str) -> Response:
    if "Authorization" in request.headers:
        raise Refusal(400, message="only one way to authenticate is allowed")
    return _ranged(request, hub.repos[kind, repo].blobs[digest], {"ETag": f'"{digest}"'})


def _ranged(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    headers["Accept-Ranges"] = "bytes"
    if not wanted:
        return Response(content, headers=headers)
    first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
    if first > last:
        return Response(b"", 416, {**headers, "Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers)


# files: writing ----------------------------------------------------------------------------------


@route("POST", API + f"/preupload/{REV}")
def _preupload(hub: Hub, request: Request, kind: str, repo: str, revision: str) -> Response:
    found = hub.find(kind, repo, request.user)
    _check_may_propose(found, request)
    files = found.at(revision).files
    answers = []
    for file in request.json["files"]:
        if len(file["sample"]) > 4 * MAX_SAMPLE or file["size"] < 0:
            raise Refusal(400, message=f"bad sample or size of {file['path']}")
        mode, present = found.upload_mode(file["path"], file["size"]), files.get(file["path"])
        oid = (present.sha256 or present.oid) if present else None
        answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        answers.append(answer | ({"oid": oid} if oid else {}))
    return Response.of_json({"files": answers})


def _check_may_propose(repo: Repo, request: Request) -> None:
    """Who may read and is known may open a pull request; all else is for those who may write."""
    if request.query.get("create_pr") == ["1"] and request.user:
        repo.check_contents(request.user)
    else:
        repo.check_writable(request.user)


@route("POST", WEB + r"\.git/info/lfs/objects/batch")
def _lfs_batch(hub: Hub, request: Request, kind: str, repo: str) -> Response:
    found = hub.find(kind, repo, request.user)
    if request.user is None:
        raise Refusal(401, message="Invalid username or password.")
    given = request.json
    if given["operation"] != "upload" or given.get("hash_algo") != "sha256":
        raise Refusal(422, message="only uploads with sha256")
    objects = []
    for wanted in given["objects"]:
        digest, size = wanted["oid"], wanted["size"]
        if not SHA256.fullmatch(digest):
            raise Refusal(422, message=f"bad oid {digest}")
        answer: dict[str, Any] = {"oid": digest, "size": size}
        if digest not in found.blobs:
            place = f"http://{hub.blob_host}/blobs/{kind}/{repo}/{digest}"
            verify = f"{hub.endpoint}/api/{kind}s/{repo}/lfs-verify"
            answer["actions"] = {"upload": {"href": place}, "verify": {"href": verify}}
        objects.append(answer)
    return Response.of_json({"transfer": "basic", "objects": objects})


@route("PUT", r"/blobs/(?P<kind>\w+)/(?P<repo>[\w.-]+/[\w.-]+)/(?P<digest>\w+)")
def _put_blob(hub: Hub, request: Request, kind: str, repo: str, digest: str) -> Response:
    if "Authorization" in request.headers:
        raise Refusal(400, message="only one way to authenticate is allowed")
    hub.repos[kind, repo].store_blob(digest, len(request.body), request.body)
    return Response()


@route("POST", API + "/lfs-verify")
def _verify_blob(hub: Hub, request: Request, kind: str, repo: str) -> Response:
    given = request.json
    blob = hub.find(kind, repo, request.user).blobs.get(given["oid"])
    if blob is None or len(blob) != given["size"]:
        raise Refusal(404, message="the object was not uploaded")
    return Response()


@route("POST", API + f"/commit/{REV}")
def _commit(hub: Hub, request: Request, kind: str, repo: str, revision: str) -> Response:
    found = hub.find(kind, repo, request.user)
    _check_may_propose(found, request)
    if hub.before_commit:
        meddle, hub.before_commit = hub.before_commit, None
        meddle(found)
    lines = [json.loads(line) for line in request.body.splitlines() if line]
    if request.headers["Content-Type"] != "application/x-ndjson":
        raise Refusal(400, message="a commit is ndjson")
    proposes = request.query.get("create_pr") == ["1"]
    commit = found.commit(revision, lines, request.user or "", as_pull_request=proposes)
    address = _address(hub, kind, repo)
    answer = {
        "success": True,
        "commitOid": commit.oid,
        "commitUrl": f"{address}/commit/{commit.oid}",
    }
    if proposes:
        number = len(found.pulls)
        answer["pullRequestUrl"] = f"{address}/discussions/{number}"
    return Response.of_json(answer)
