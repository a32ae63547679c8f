"""A server on this machine that answers those routes of the Hub which publishing and loading use."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

OWNER, TOKEN = "heart-lab", "hf_stand_in"
LARGE = (".safetensors", ".parquet", ".png")
_KINDS = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}


@dataclass
class Repository:
    """Commits, oldest first: the files after each, by path."""

    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b""}])

    @property
    def head(self) -> str:
        return f"{len(self.commits):040x}"


class StandInHub:
    """Repositories by address, such as `heart-lab/ecgscan` or `datasets/heart-lab/pages`.

    Attributes:
        requests: method and path of all that was asked.
        cut: large files break off half-way.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut = False
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def environment(self, home: object) -> dict[str, str]:
        """What makes a process take this server for the Hub."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }

    def files(self, address: str) -> dict[str, bytes]:
        """Files on the main branch, without what the Hub itself keeps there."""
        files = dict(self.repositories[address].commits[-1])
        del files[".gitattributes"]
        return files


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[StandInHub]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.command == "PUT" and self.hub.cut:
            self.rfile.read(int(self.headers["Content-Length"]) // 2)
            self.close_connection = True
            self.connection.close()
            return
        body, path = self._body(), self.path.split("?")[0]
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.command == "PUT":
            oid = path.rsplit("/", 1)[1]
            whole = hashlib.sha256(body).hexdigest() == oid
            self.hub.blobs[oid] = body
            self._json({}, 200 if whole else 400)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        else:
            self._of_a_repository(path, body)

    def _create(self, asked: dict) -> None:
        owner = asked.get("organization") or OWNER
        prefix = _KINDS[f"{asked.get('type', 'model')}s"]
        address = f"{prefix}{owner}/{asked['name']}"
        if owner != OWNER:
            self._json({"error": f"no rights to create under {owner}"}, 403)
            return
        found = address in self.hub.repositories
        if not found:
            self.hub.repositories[address] = Repository(asked.get("visibility") == "private")
        answer = {"url": f"{self.hub.url}/{address}", "name": f"{owner}/{asked['name']}", "id": address}
        self._json(answer, 409 if found else 200)

    def _of_a_repository(self, path: str, body: bytes) -> None:
        name = r"(?P<name>[^/]+/[^/]+?)"
        routes = {
            rf"/api/(?P<kind>\w+)/{name}/preupload/main": self._preupload,
            rf"/(?:(?P<kind>datasets|spaces)/)?{name}\.git/info/lfs/objects/batch": self._batch,
            rf"/api/(?P<kind>\w+)/{name}/commit/main": self._commit,
            rf"/api/(?P<kind>\w+)/{name}(?:/revision/\w+)?": self._info,
            rf"/(?:(?P<kind>datasets|spaces)/)?{name}/resolve/\w+/(?P<file>.+)": self._resolve,
        }
        for pattern, route in routes.items():
            match = re.fullmatch(pattern, path)
            if match:
                found = match.groupdict()
                repository = self.hub.repositories.get(f"{_KINDS[found['kind'] or 'models']}{found['name']}")
                if repository is None:
                    self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
                else:
                    route(repository, body, found)
                return
        self._json({"error": "not found"}, 404, {"X-Error-Code": "EntryNotFound"})

    def _preupload(self, repository: Repository, body: bytes, _: dict) -> None:
        asked = [file["path"] for file in json.loads(body)["files"]]
        modes = ["lfs" if path.endswith(LARGE) else "regular" for path in asked]
        rows = [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in zip(asked, modes, strict=True)]
        self._json({"files": rows})

    def _batch(self, repository: Repository, body: bytes, _: dict) -> None:
        rows = []
        for asked in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/blobs/{asked['oid']}", "header": {}}}
            rows.append({**asked, **({} if asked["oid"] in self.hub.blobs else {"actions": upload})})
        self._json({"transfer": "basic", "objects": rows})

    def _commit(self, repository: Repository, body: bytes, found: dict) -> None:
        files = dict(repository.commits[-1])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header" and value.get("parentCommit") not in (None, repository.head):
                self._json({"error": "parent commit is not the head"}, 412)
                return
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        repository.commits.append(files)
        address = f"{self.hub.url}/{_KINDS[found['kind']]}{found['name']}/commit/{repository.head}"
        self._json({"success": True, "commitOid": repository.head, "commitUrl": address, "hookOutput": ""})

    def _info(self, repository: Repository, body: bytes, found: dict) -> None:
        siblings = [{"rfilename": path} for path in repository.commits[-1]]
        answer = {"id": found["name"], "sha": repository.head, "private": repository.private, "siblings": siblings}
        self._json(answer)

    def _resolve(self, repository: Repository, body: bytes, found: dict) -> None:
        headers = {"X-Repo-Commit": repository.head}
        content = repository.commits[-1].get(found["file"])
        if content is None:
            self._json({"error": "not found"}, 404, {**headers, "X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(content).hexdigest()
        headers["ETag"] = f'"{etag}"'
        if found["file"].endswith(LARGE):
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        self._send(200, content, headers)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, answer: dict, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
