"""The world behind the transcripts, as a small model: it answers requests that were not recorded in just that form.

Everything that it holds comes from transcripts: users, projects, columns, repositories, revisions with their reviewers, diffs and
their texts, histories, builds, tasks. Composed are:
- which of these objects an answer holds, by constraints, order and page, as the real server applies them;
- reviewers of the filler D13 to D24 (alice) and of D8 and D12 (carol and bob), which were never asked for with that attachment;
- diffs other than 1, 7 and 25, which have the number of their revision, and the text of diff 25 unless 8 is asked for;
- the history of D25 (accepted, then updated) and of other revisions without a recorded one: entries of recorded shapes;
- links of tasks; a log of a build; the file http_client.py at `main`, which is the old side of diff 1;
- what an edit does: the objects change, and entries of recorded shapes are added to the history.

An edit, constraint, attachment or method that the model does not know raises KeyError: the test then fails with its name.
"""

import base64
import copy
import itertools
import re
from collections.abc import Callable
from typing import cast

from .transcripts import Json, Map, as_map, maps, numbers, texts, transcript

BOB = "PHID-USER-jak5ckqa27svjr32g6up"
ALICE = "PHID-USER-abpmguxa2rrdo77jc7vj"
CAROL = "PHID-USER-uq2av7bagpiricwras3v"
BOT = "PHID-USER-y6qjgxdadap7matxmdx3"
BACKEND = "PHID-PROJ-xpocetjwszinsuta3xr4"
WIDGETS = "PHID-REPO-bkz26xvuzhr2va3iimzu"

_CLOSED = ("published", "abandoned")
_D25 = 25
_REVISIONS = "differential.revision.search"
_LATER = 1795340000
_ACTIONS = {
    "abandon": "abandoned",
    "reclaim": "needs-review",
    "reopen": "accepted",
    "plan-changes": "changes-planned",
    "request-review": "needs-review",
}


class Refused(Exception):
    """What the real server answers with an error code."""

    def __init__(self, code: str, info: str) -> None:
        super().__init__(code)
        self.code, self.info = code, info


class World:
    def __init__(self, account: str = BOB) -> None:
        self.account = account
        self.publishes_inlines = False
        """Whether createcomment attaches drafts, as one fork does. Phorge does not."""
        self.misplaced_by = 0
        """Lines by which drafts are stored elsewhere than they were sent to."""
        self.refuses: tuple[str, str] | None = None
        """A method, and the transcript whose refusal it answers with."""
        self.drafts: list[Map] = []
        self.lint: list[Map] = []
        self.users = transcript("user.search.empty-list-constraint").data
        self.projects = transcript("project.search").data
        self.columns = transcript("project.column.search").data
        self.repositories = transcript("diffusion.repository.search").data
        self.revisions = _revisions()
        self.diffs = _diffs(self.revisions)
        self.texts = {
            1: str(transcript("differential.getrawdiff.arc").result),
            7: str(transcript("differential.getrawdiff.kinds").result),
            8: str(transcript("differential.getrawdiff.large").result),
            25: str(transcript("differential.getrawdiff").result),
        }
        self.stored = {
            **as_map(transcript("differential.querydiffs").result),
            **as_map(transcript("differential.querydiffs.kinds").result),
        }
        self.tasks = _tasks()
        self.edges: list[Map] = maps(as_map(transcript("edge.search").result)["data"])
        self._link("revision.task", self.revision(_D25), self.task(3))
        self._link("task.revision", self.task(3), self.revision(_D25))
        self._link("task.parent", self.task(2), self.task(1))
        self.history = self._histories()
        self.buildables = [*transcript("harbormaster.buildable.search.settled").data]
        self.builds = transcript("harbormaster.build.search").data
        self.targets = transcript("harbormaster.target.search.settled").data
        self.logs: list[Map] = []
        self.files = {
            ("main", "widgets/store.py"): base64.b64decode(str(transcript("file.download").result)).decode(),
            ("main", "widgets/http_client.py"): self._old_side("1"),
        }
        self._ids = itertools.count(1000)

    def revision(self, number: int) -> Map:
        return next(revision for revision in self.revisions if revision["id"] == number)

    def task(self, number: int) -> Map:
        return next(task for task in self.tasks if task["id"] == number)

    def answer(self, method: str, params: Map) -> Json:
        if self.refuses and self.refuses[0] == method:
            answer = transcript(self.refuses[1]).answer
            raise Refused(str(answer["error_code"]), str(answer["error_info"]))
        return copy.deepcopy(self._methods()[method](params))

    def take_part(self, method: str, params: Map, answer: Map) -> None:
        """Does what a played edit did, under the names that its recorded answer has."""
        if answer["error_code"] is not None:
            return
        done = maps(as_map(self._methods()[method](params))["transactions"])
        recorded = [entry["phid"] for entry in maps(as_map(answer["result"])["transactions"])]
        names = dict(zip((entry["phid"] for entry in done), recorded, strict=False))
        for entries in self.history.values():
            for entry in entries:
                entry["phid"] = names.get(entry["phid"], entry["phid"])

    def reset(self, number: int, status: str, reviewers: dict[str, str], diff: str | None = None) -> None:
        """Puts a revision back to how it was before the recorded edits: its state, who reviews it, and its diff."""
        revision = self.revision(number)
        as_map(_fields(revision)["status"]).update({"value": status, "closed": status in _CLOSED})
        listed: list[Json] = [
            {"reviewerPHID": phid, "status": word, "isBlocking": word == "blocking", "actorPHID": None}
            for phid, word in reviewers.items()
        ]
        as_map(as_map(revision["attachments"])["reviewers"])["reviewers"] = listed
        if diff is not None:
            known = next(found for found in self.diffs if found["phid"] == _fields(revision)["diffPHID"])
            known["phid"] = _fields(revision)["diffPHID"] = diff

    def add_comment(self, ref: str, text: str, author: str) -> str:
        return self._entry(ref, "comment", author, text=text)

    def _methods(self) -> dict[str, Callable[[Map], Json]]:
        return {
            "user.whoami": lambda _: self._whoami(),
            "user.search": lambda p: self._search(self.users, p, {"usernames": _username, "nameLike": _prefix}),
            "project.search": self._projects,
            "project.column.search": lambda p: self._search(self.columns, p, {"projects": _column_of}),
            "diffusion.repository.search": lambda p: self._search(
                self.repositories, p, {"shortNames": _field("shortName"), "callsigns": _field("callsign")}
            ),
            _REVISIONS: lambda p: self._search(
                [revision for revision in self.revisions if self._sees(revision)], p, self._revision_tests(), ("reviewers",)
            ),
            "differential.diff.search": lambda p: self._search(
                self.diffs, p, {"revisionPHIDs": _field("revisionPHID")}, ("commits",)
            ),
            "differential.getrawdiff": self._rawdiff,
            "differential.querydiffs": lambda p: {str(n): self.stored[str(n)] for n in numbers(p["ids"])},
            "differential.revision.edit": self._edit_revision,
            "differential.createrawdiff": self._createrawdiff,
            "differential.createinline": self._createinline,
            "differential.createcomment": self._createcomment,
            "transaction.search": self._transactions,
            "phid.query": self._handles,
            "phid.lookup": self._lookup,
            "edge.search": self._edges,
            "harbormaster.buildable.search": lambda p: self._search(self.buildables, p, {"objectPHIDs": _field("objectPHID")}),
            "harbormaster.build.search": lambda p: self._search(self.builds, p, {"buildables": _field("buildablePHID")}),
            "harbormaster.target.search": lambda p: self._search(self.targets, p, {"buildPHIDs": _field("buildPHID")}),
            "harbormaster.log.search": lambda p: self._search(self.logs, p, {"buildTargetPHIDs": _field("buildTargetPHID")}),
            "harbormaster.queryautotargets": lambda _: transcript("harbormaster.queryautotargets").result,
            "harbormaster.sendmessage": self._message,
            "maniphest.search": lambda p: self._search(
                [task for task in self.tasks if self._sees(task)], p, self._task_tests(), ("columns", "projects", "subscribers")
            ),
            "maniphest.status.search": lambda _: transcript("maniphest.status.search").result,
            "maniphest.priority.search": lambda _: transcript("maniphest.priority.search").result,
            "maniphest.edit": self._edit_task,
            "diffusion.filecontentquery": self._content,
            "file.download": lambda p: base64.b64encode(self._stored_file(str(p["phid"])).encode()).decode(),
        }

    def _search(
        self, objects: list[Map], params: Map, tests: dict[str, Callable[[Map, Json], bool]], attachments: tuple[str, ...] = ()
    ) -> Json:
        constraints = as_map(params.get("constraints") or {})
        asked = texts(list(as_map(params.get("attachments") or {})))
        if unknown := [name for name in asked if name not in attachments] + [
            name for name in params if name not in ("constraints", "attachments", "order", "limit", "after")
        ]:
            raise KeyError(unknown[0])
        tests = {"ids": _listed("id"), "phids": _listed("phid"), **tests}
        found = [o for o in objects if all(tests[name](o, value) for name, value in constraints.items())]
        order = str(params.get("order") or "newest")
        found.sort(key={"newest": _age, "updated": _update_time}[order], reverse=True)
        limit = cast("int", params.get("limit") or 100)
        if params.get("after") is not None:
            found = found[1 + [str(o["id"]) for o in found].index(str(params["after"])) :]
        page = [_attached(thing, asked) for thing in found[:limit]]
        after = str(page[-1]["id"]) if len(found) > limit else None
        cursor: Map = {"limit": limit, "after": after, "before": None, "order": params.get("order")}
        return {"data": list[Json](page), "maps": {}, "query": {"queryKey": None}, "cursor": cursor}

    def _sees(self, thing: Map) -> bool:
        view = as_map(_fields(thing)["policy"])["view"]
        return view in ("users", self.account)

    def _whoami(self) -> Json:
        name = "user.whoami.bot" if self.account == BOT else "user.whoami"
        me = as_map(transcript(name).result)
        user = next(user for user in self.users if user["phid"] == self.account)
        return {**me, "phid": self.account, "userName": _fields(user)["username"]}

    def _projects(self, params: Map) -> Json:
        tests: dict[str, Callable[[Map, Json], bool]] = {"slugs": _field("slug"), "members": _has_member}
        answer = as_map(self._search(self.projects, params, tests, ("members",)))
        slugs = texts(as_map(params.get("constraints") or {}).get("slugs"))
        found = {str(_fields(p)["slug"]): p["phid"] for p in maps(answer["data"])}
        slug_map: Map = {slug: {"slug": slug, "projectPHID": found[slug]} for slug in slugs if slug in found}
        return {**answer, "maps": {"slugMap": slug_map} if slugs else {}}

    def _revision_tests(self) -> dict[str, Callable[[Map, Json], bool]]:
        paths = {"widgets/store.py": [2, 11]}  # as differential.revision.search.affectedPaths has it
        return {
            "authorPHIDs": _field("authorPHID"),
            "reviewerPHIDs": lambda o, value: any(r["reviewerPHID"] in texts(value) for r in _reviewers(o)),
            "repositoryPHIDs": _field("repositoryPHID"),
            "statuses": lambda o, value: any(_has_status(o, word) for word in texts(value)),
            "affectedPaths": lambda o, value: any(o["id"] in paths.get(path, []) for path in texts(value)),
            "modifiedStart": lambda o, value: _modified(o) >= cast("int", value),
            "query": lambda o, value: _has_words(f"{_fields(o)['title']} {_fields(o)['summary']}", str(value)),
        }

    def _task_tests(self) -> dict[str, Callable[[Map, Json], bool]]:
        return {
            "assigned": lambda o, value: (_fields(o)["ownerPHID"] or "none()") in texts(value),
            "statuses": lambda o, value: as_map(_fields(o)["status"])["value"] in texts(value),
            "priorities": lambda o, value: as_map(_fields(o)["priority"])["value"] in numbers(value),
            "projects": lambda o, value: any(p in _projects_of(o) for p in texts(value)),
            "columnPHIDs": lambda o, value: any(p in _columns_of(o) for p in texts(value)),
            "modifiedStart": lambda o, value: _modified(o) >= cast("int", value),
            "query": lambda o, value: _has_words(f"{_fields(o)['name']}", str(value)),
        }

    def _rawdiff(self, params: Map) -> Json:
        number = cast("int", params["diffID"])
        if not any(diff["id"] == number for diff in self.diffs):
            raise Refused("ERR_NOT_FOUND", "Diff not found.")
        return self.texts.get(number, self.texts[25])

    def _object(self, ref: str) -> Map:
        match = re.fullmatch(r"([DT])(\d+)", ref)
        things = {"D": self.revisions, "T": self.tasks}[match[1]] if match else []
        found = next((o for o in things if match and o["id"] == int(match[2]) and self._sees(o)), None)
        if found is None:
            raise Refused("ERR-CONDUIT-CORE", f'Monogram "{ref}" does not identify a valid object.')
        return found

    def _transactions(self, params: Map) -> Json:
        if set(params) - {"objectIdentifier", "after"}:
            raise KeyError(str(sorted(params)))
        ref = str(params["objectIdentifier"])
        try:
            self._object(ref)
        except Refused:
            raise Refused("ERR-INVALID-OBJECT-PHID", 'Specified "objectIdentifier" does not exist.') from None
        entries = sorted(self.history[ref], key=_id, reverse=True)
        if params.get("after") is not None:
            entries = [entry for entry in entries if cast("int", entry["id"]) < int(str(params["after"]))]
        after = str(entries[99]["id"]) if len(entries) > 100 else None
        return {"data": list[Json](entries[:100]), "cursor": {"limit": 100, "after": after, "before": None}}

    def _handles(self, params: Map) -> Json:
        found = {phid: self._handle(phid) for phid in texts(params["phids"])}
        return {phid: handle for phid, handle in found.items() if handle} or []

    def _lookup(self, params: Map) -> Json:
        found: Map = {}
        for name in texts(params["names"]):
            try:
                found[name] = self._handle(str(self._object(name)["phid"]))
            except Refused:
                continue
        return found or []

    def _handle(self, phid: str) -> Json:
        recorded = as_map(transcript("phid.query").result)
        if phid in recorded:
            return recorded[phid]
        for things, kind, letter in ((self.revisions, "DREV", "D"), (self.tasks, "TASK", "T")):
            for thing in things:
                if thing["phid"] == phid and self._sees(thing):
                    name = f"{letter}{thing['id']}"
                    like = as_map(recorded["PHID-TASK-lprxfwg7rokcxpyquzey"])
                    return {**like, "phid": phid, "type": kind, "name": name, "fullName": name, "uri": f"http://phorge/{name}"}
        for project in self.projects:
            if project["phid"] == phid:
                fields = _fields(project)
                uri = f"http://phorge/tag/{fields['slug']}/" if fields["slug"] else f"http://phorge/project/view/{project['id']}/"
                return {**as_map(recorded[BACKEND]), "phid": phid, "name": fields["name"], "uri": uri}
        for repository in self.repositories:
            if repository["phid"] == phid:
                uri = f"http://phorge/source/{_fields(repository)['shortName']}/"
                return {**as_map(recorded[WIDGETS]), "phid": phid, "name": f"r{_fields(repository)['callsign']}", "uri": uri}
        return None

    def _edges(self, params: Map) -> Json:
        if set(params) - {"sourcePHIDs", "types"}:
            raise KeyError(str(sorted(params)))
        sources, kinds = texts(params["sourcePHIDs"]), texts(params["types"])
        found = [edge for edge in self.edges if edge["sourcePHID"] in sources and edge["edgeType"] in kinds]
        return {"data": list[Json](found), "cursor": {"limit": 100, "after": None, "before": None}}

    def _edit_revision(self, params: Map) -> Json:
        steps = maps(params["transactions"])
        known = params.get("objectIdentifier")
        revision = self._object(str(known)) if known is not None else self._new_revision(steps)
        for step in steps:
            self._refuse(revision, str(step["type"]))
        done = [phid for step in steps for phid in self._step_of_revision(revision, str(step["type"]), step["value"])]
        _fields(revision)["dateModified"] = _LATER if done else _fields(revision)["dateModified"]
        return _edited(revision, done)

    def _refuse(self, revision: Map, action: str) -> None:
        """The refusals that were recorded: an edit is done as a whole or not at all."""
        fields = _fields(revision)
        status, own = as_map(fields["status"])["value"], fields["authorPHID"] == self.account
        names = {
            ("accept", own): "differential.revision.edit.error-accept-own",
            ("accept", status in _CLOSED): "differential.revision.edit.error-accept-abandoned",
            ("accept", any(r["reviewerPHID"] == self.account and r["status"] == "accepted" for r in _reviewers(revision))): (
                "differential.revision.edit.error-accept-twice"
            ),
            ("reject", status in _CLOSED): "differential.revision.edit.error-comment-on-published-verdict",
            ("abandon", not own): "differential.revision.edit.error-abandon-other",
        }
        name = names.get((action, True))
        if name:
            answer = transcript(name).answer
            raise Refused(str(answer["error_code"]), str(answer["error_info"]))

    def _step_of_revision(self, revision: Map, kind: str, value: Json) -> list[str]:
        steps: dict[str, Callable[[Map, str, Json], list[str]]] = {
            "comment": self._comment,
            "title": self._text_of_revision,
            "summary": self._text_of_revision,
            "testPlan": self._text_of_revision,
            "accept": self._verdict,
            "reject": self._verdict,
            "draft": self._nothing,  # as differential.revision.edit.back-to-draft has it
            "update": self._update,
            "reviewers.add": self._add_reviewers,
            "reviewers.remove": self._remove_reviewers,
            "tasks.add": self._add_tasks,
            **dict.fromkeys(_ACTIONS, self._act),
        }
        return steps[kind](revision, kind, value)

    def _comment(self, thing: Map, _: str, value: Json) -> list[str]:
        return [self._entry(_ref(thing), "comment", text=str(value))] if value else []

    def _text_of_revision(self, revision: Map, kind: str, value: Json) -> list[str]:
        fields = _fields(revision)
        if fields[kind] == value:
            return []
        fields[kind] = value
        return [self._entry(_ref(revision), kind)]

    def _verdict(self, revision: Map, kind: str, _: Json) -> list[str]:
        word, status, entry = {
            "accept": ("accepted", "accepted", "accept"),
            "reject": ("rejected", "needs-revision", "request-changes"),
        }[kind]
        mine = [reviewer for reviewer in _reviewers(revision) if reviewer["reviewerPHID"] == self.account]
        if not mine:
            mine.append({"reviewerPHID": self.account, "isBlocking": False})
            _reviewers(revision).append(mine[0])
        mine[0].update({"status": word, "actorPHID": self.account})
        as_map(_fields(revision)["status"])["value"] = status
        return [self._entry(_ref(revision), entry)]

    def _update(self, revision: Map, _: str, value: Json) -> list[str]:
        _fields(revision)["diffPHID"] = value
        diff = next(diff for diff in self.diffs if diff["phid"] == value)
        _fields(diff)["revisionPHID"] = revision["phid"]
        return [self._entry(_ref(revision), "update", fields={"old": None, "new": value, "commitPHIDs": []})]

    def _add_reviewers(self, revision: Map, _: str, value: Json) -> list[str]:
        for phid in texts(value):
            blocking = phid.startswith("blocking(")
            plain = phid.removeprefix("blocking(").removesuffix(")")
            status = "blocking" if blocking else "added"
            _reviewers(revision).append({"reviewerPHID": plain, "status": status, "isBlocking": blocking, "actorPHID": None})
        return [self._entry(_ref(revision), "reviewers")]

    def _remove_reviewers(self, revision: Map, _: str, value: Json) -> list[str]:
        kept = [reviewer for reviewer in _reviewers(revision) if reviewer["reviewerPHID"] not in texts(value)]
        as_map(as_map(revision["attachments"])["reviewers"])["reviewers"] = list[Json](kept)
        return [self._entry(_ref(revision), "reviewers")]

    def _add_tasks(self, revision: Map, _: str, value: Json) -> list[str]:
        for phid in texts(value):
            task = next(task for task in self.tasks if task["phid"] == phid)
            self._link("revision.task", revision, task)
            self._link("task.revision", task, revision)
        return [self._entry(_ref(revision), None)]

    def _nothing(self, *_: object) -> list[str]:
        return []

    def _act(self, revision: Map, kind: str, _: Json) -> list[str]:
        as_map(_fields(revision)["status"])["value"] = _ACTIONS[kind]
        return [self._entry(_ref(revision), kind)]

    def _new_revision(self, steps: list[Map]) -> Map:
        if not any(step["type"] == "testPlan" for step in steps):
            answer = transcript("differential.revision.edit.error-create-missing").answer
            raise Refused(str(answer["error_code"]), str(answer["error_info"]))
        made = copy.deepcopy(self.revision(24))
        number = max(cast("int", revision["id"]) for revision in self.revisions) + 1
        made.update({"id": number, "phid": f"PHID-DREV-composed{number}"})
        _fields(made).update({"authorPHID": self.account, "title": "", "summary": "", "testPlan": ""})
        as_map(as_map(made["attachments"])["reviewers"])["reviewers"] = []
        self.revisions.append(made)
        self.history[f"D{number}"] = []
        return made

    def _createrawdiff(self, params: Map) -> Json:
        if "diff --git" not in str(params["diff"]):
            answer = transcript("differential.createrawdiff.error-not-a-diff").answer
            raise Refused(str(answer["error_code"]), str(answer["error_info"]))
        number = next(self._ids)
        made = copy.deepcopy(self.diffs[0])
        made.update({"id": number, "phid": f"PHID-DIFF-composed{number}"})
        _fields(made).update({"revisionPHID": None, "refs": []})
        self.diffs.append(made)
        self.texts[number] = str(params["diff"])
        return {**as_map(transcript("differential.createrawdiff").result), "id": number, "phid": made["phid"]}

    def _createinline(self, params: Map) -> Json:
        diff = next(diff for diff in self.diffs if diff["id"] == params["diffID"])
        if _fields(diff)["revisionPHID"] != self.revision(cast("int", params["revisionID"]))["phid"]:
            raise Refused("ERR-BAD-DIFF", "Requested diff doesn't belong to requested revision.")
        if f"b/{params['filePath']}" not in str(self._rawdiff({"diffID": diff["id"]})):
            raise Refused("ERR-BAD-FILE", "Requested file doesn't exist in this revision.")
        made = as_map(transcript("differential.createinline.new-side").result)
        made = {
            **made,
            "id": next(self._ids),
            "authorPHID": self.account,
            "filePath": params["filePath"],
            "isNewFile": int(bool(params["isNewFile"])),
            "lineNumber": cast("int", params["lineNumber"]) + self.misplaced_by,
            "lineLength": params.get("lineLength", 0),
            "diffID": str(params["diffID"]),
            "content": params["content"],
        }
        self.drafts.append(made)
        return made

    def _createcomment(self, params: Map) -> Json:
        ref = f"D{params['revision_id']}"
        self._entry(ref, "comment", text=str(params["message"]))
        if self.publishes_inlines:
            for draft in self.drafts:
                place: Map = {
                    "diff": {"id": int(str(draft["diffID"])), "phid": None},
                    "path": draft["filePath"],
                    "line": draft["lineNumber"],
                    "length": cast("int", draft["lineLength"]) + 1,
                    "replyToCommentPHID": None,
                    "isDone": False,
                }
                self._entry(ref, "inline", text=str(draft["content"]), fields=place)
            self.drafts = []
        return transcript("differential.createcomment.deprecated").result

    def _message(self, params: Map) -> Json:
        self.lint += maps(params.get("lint"))
        for target in self.targets:
            if target["phid"] == params["receiver"]:
                status = {"pass": "target/passed", "fail": "target/failed"}[str(params["type"])]
                _fields(target)["status"] = {"value": status, "name": status}
        return None

    def _edit_task(self, params: Map) -> Json:
        steps = maps(params["transactions"])
        task = self._object(str(params["objectIdentifier"])) if "objectIdentifier" in params else self._new_task()
        done = [phid for step in steps for phid in self._step_of_task(task, str(step["type"]), step["value"])]
        return _edited(task, done)

    def _step_of_task(self, task: Map, kind: str, value: Json) -> list[str]:
        if kind == "comment":
            return self._comment(task, kind, value)
        steps: dict[str, Callable[[Map, Json], None]] = {
            "title": lambda task, value: _fields(task).update({"name": value}),
            "description": lambda task, value: _fields(task).update({"description": {"raw": value}}),
            "owner": lambda task, value: _fields(task).update({"ownerPHID": value}),
            "priority": _set_priority,
            "projects.add": lambda task, value: _projects_of(task).extend(texts(value)),
            "projects.remove": _remove_projects,
            "column": self._move,
            "parents.add": self._add_parents,
            "status": lambda task, value: _fields(task).update({"status": {"value": value, "name": str(value).title()}}),
        }
        if kind == "status" and as_map(_fields(task)["status"])["value"] == value:
            return []
        steps[kind](task, value)
        return [self._entry(_ref(task), kind)]

    def _move(self, task: Map, value: Json) -> None:
        column = next(column for column in self.columns if [column["phid"]] == value)
        board = str(as_map(_fields(column)["project"])["phid"])
        columns = as_map(as_map(task["attachments"])["columns"])
        boards = columns["boards"] if isinstance(columns["boards"], dict) else {}
        on: Map = {"columns": [{"id": column["id"], "phid": column["phid"], "name": _fields(column)["name"]}]}
        columns["boards"] = {**boards, board: on}

    def _add_parents(self, task: Map, value: Json) -> None:
        for phid in texts(value):
            self._link("task.parent", task, next(other for other in self.tasks if other["phid"] == phid))

    def _new_task(self) -> Map:
        made = copy.deepcopy(self.task(4))
        number = max(cast("int", task["id"]) for task in self.tasks) + 1
        made.update({"id": number, "phid": f"PHID-TASK-composed{number}"})
        _fields(made).update({"authorPHID": self.account, "name": "", "description": {"raw": ""}, "ownerPHID": None})
        as_map(made["attachments"]).update({"projects": {"projectPHIDs": []}, "columns": {"boards": []}})
        self.tasks.append(made)
        self.history[f"T{number}"] = []
        return made

    def _content(self, params: Map) -> Json:
        key = (str(params["commit"]), str(params["path"]))
        if params["repository"] != WIDGETS or key not in self.files:
            raise Refused("ERR-CONDUIT-CORE", "Command failed with error #128!\nCOMMAND\ngit cat-file -- /var/repo/1")
        answer = as_map(transcript("diffusion.filecontentquery").result)
        return {**answer, "filePHID": "PHID-FILE-" + "@".join(key)}

    def _stored_file(self, phid: str) -> str:
        commit, _, path = phid.removeprefix("PHID-FILE-").partition("@")
        return self.files[commit, path]

    def _old_side(self, diff: str) -> str:
        change = maps(as_map(self.stored[diff])["changes"])[0]
        corpus = str(maps(change["hunks"])[0]["corpus"])
        return "".join(line[1:] for line in corpus.splitlines(keepends=True) if line[0] in " -")

    def _link(self, kind: str, source: Map, target: Map) -> None:
        self.edges.append({"sourcePHID": source["phid"], "edgeType": kind, "destinationPHID": target["phid"]})

    def _entry(
        self, ref: str, kind: str | None, author: str | None = None, *, text: str | None = None, fields: Map | None = None
    ) -> str:
        number = next(self._ids)
        entry = copy.deepcopy(transcript("transaction.search.revision").data[0])
        entry.update({"id": number, "phid": f"PHID-XACT-{number}", "type": kind, "authorPHID": author or self.account})
        entry.update({"groupID": f"group{number}", "fields": fields or {}, "dateCreated": _LATER, "dateModified": _LATER})
        if text is None:
            entry["comments"] = []
        else:
            comment = maps(entry["comments"])[0]
            comment.update(
                {"id": number, "phid": f"PHID-XCMT-{number}", "content": {"raw": text}, "authorPHID": entry["authorPHID"]}
            )
        self.history[ref].append(entry)
        return str(entry["phid"])

    def _histories(self) -> dict[str, list[Map]]:
        base = transcript("transaction.search.published").data
        found: dict[str, list[Map]] = {f"{letter}{o['id']}": [] for letter, o in self._all()}
        found["D1"] = transcript("transaction.search.revision").data
        found["D2"] = _merged("transaction.search.request-changes", "transaction.search.inline-published")
        found["D3"] = base
        found["D10"] = transcript("transaction.search.resign-accept").data
        found["T1"] = transcript("transaction.search.task").data
        accept = next(entry for entry in base if entry["type"] == "accept")
        update = next(entry for entry in found["D1"] if entry["type"] == "update")
        found["D25"] = [{**accept, "id": 300}, {**update, "id": 301}]
        return found

    def _all(self) -> list[tuple[str, Map]]:
        return [*(("D", o) for o in self.revisions), *(("T", o) for o in self.tasks)]


def _revisions() -> list[Map]:
    found = {o["id"]: o for o in transcript(f"{_REVISIONS}.last-page").data}
    for name in ("all-attachments", "phids-all-kinds", "stack", "published", "accepted-then-updated"):
        found.update({o["id"]: o for o in transcript(f"{_REVISIONS}.{name}").data})
    like = maps(as_map(as_map(found[7]["attachments"])["reviewers"])["reviewers"])[0]
    for number, revision in found.items():
        attached = as_map(revision["attachments"] or {})
        if "reviewers" not in attached:
            reviewer = {8: CAROL, 12: BOB}.get(cast("int", number), ALICE if cast("int", number) >= 13 else BOB)
            attached["reviewers"] = {"reviewers": [{**like, "reviewerPHID": reviewer}]}
        revision["attachments"] = attached
    return list(found.values())


def _diffs(revisions: list[Map]) -> list[Map]:
    found = [*transcript("differential.diff.search").data]
    by_id = transcript("differential.diff.search.ids").data
    seven = next(diff for diff in by_id if diff["id"] == 7)
    for revision in revisions:
        number = {25: 26, 3: 27}.get(cast("int", revision["id"]), revision["id"])
        if revision["id"] == 1:
            continue
        fields = {**_fields(seven), "revisionPHID": revision["phid"]}
        found.append({**copy.deepcopy(seven), "id": number, "phid": _fields(revision)["diffPHID"], "fields": fields})
    for diff in found:
        diff["attachments"] = {"commits": {"commits": []}, **as_map(diff["attachments"] or {})}
    return found


def _tasks() -> list[Map]:
    found: dict[Json, Map] = {}
    for name in ("page1", "page2", "modified", "closed", "parents", "all", "quirk-empty-boards", "by-ids"):
        found.update({o["id"]: o for o in transcript(f"maniphest.search.{name}").data})
    empty: Map = {"projects": {"projectPHIDs": []}, "subscribers": {"subscriberPHIDs": []}, "columns": {"boards": []}}
    for task in found.values():
        task["attachments"] = {**copy.deepcopy(empty), **as_map(task["attachments"] or {})}
    return list(found.values())


def _set_priority(task: Map, value: Json) -> None:
    known = maps(as_map(transcript("maniphest.priority.search").result)["data"])
    priority = next(priority for priority in known if value in texts(priority["keywords"]))
    _fields(task)["priority"] = {name: priority[name] for name in ("value", "name", "color")}


def _remove_projects(task: Map, value: Json) -> None:
    kept = [project for project in _projects_of(task) if project not in texts(value)]
    as_map(as_map(task["attachments"])["projects"])["projectPHIDs"] = list[Json](kept)


def _ref(thing: Map) -> str:
    return f"{'D' if thing['type'] == 'DREV' else 'T'}{thing['id']}"


def _merged(*names: str) -> list[Map]:
    return list({entry["id"]: entry for name in names for entry in transcript(name).data}.values())


def _edited(thing: Map, done: list[str]) -> Json:
    return {"object": {"id": thing["id"], "phid": thing["phid"]}, "transactions": [{"phid": phid} for phid in done]}


def _fields(thing: Map) -> Map:
    return as_map(thing["fields"])


def _reviewers(revision: Map) -> list[Map]:
    return maps(as_map(as_map(revision["attachments"])["reviewers"])["reviewers"])


def _projects_of(task: Map) -> list[str]:
    return texts(as_map(as_map(task["attachments"])["projects"])["projectPHIDs"])


def _columns_of(task: Map) -> list[str]:
    boards = as_map(as_map(task["attachments"])["columns"])["boards"]
    if not isinstance(boards, dict):
        return []
    return [str(column["phid"]) for board in boards.values() for column in maps(as_map(board)["columns"])]


def _id(thing: Map) -> int:
    return cast("int", thing["id"])


def _modified(thing: Map) -> int:
    return cast("int", _fields(thing)["dateModified"])


def _attached(thing: Map, asked: list[str]) -> Map:
    attachments: Map = {name: as_map(thing["attachments"])[name] for name in asked}
    return {**thing, "attachments": attachments}


def _age(thing: Map) -> tuple[int, int]:
    return (0, _id(thing))


def _update_time(thing: Map) -> tuple[int, int]:
    return (_modified(thing), _id(thing))


def _listed(key: str) -> Callable[[Map, Json], bool]:
    return lambda thing, value: thing[key] in cast("list[Json]", value)


def _field(key: str) -> Callable[[Map, Json], bool]:
    return lambda thing, value: _fields(thing).get(key) in cast("list[Json]", value)


def _username(thing: Map, value: Json) -> bool:
    return str(_fields(thing)["username"]) in [name.lower() for name in texts(value)]


def _prefix(thing: Map, value: Json) -> bool:
    return str(_fields(thing)["username"]).startswith(str(value).lower())


def _column_of(thing: Map, value: Json) -> bool:
    return as_map(_fields(thing)["project"])["phid"] in texts(value)


def _has_member(thing: Map, value: Json) -> bool:
    members = maps(as_map(as_map(thing["attachments"])["members"])["members"])
    return any(member["phid"] in texts(value) for member in members)


def _has_status(thing: Map, word: str) -> bool:
    status = as_map(_fields(thing)["status"])["value"]
    return {"open()": status not in _CLOSED, "closed()": status in _CLOSED}.get(word, status == word)


def _has_words(text: str, query: str) -> bool:
    words = set(re.findall(r"\w+", text.lower()))
    return all(word in words for word in query.lower().split())
