"""Pseudonymization at the door: agents become keyed hashes, and free text loses what identifies a person.

A payload names a person only as `{"account": {"homePage": "urn:lyceum:identity", "name": "<hash in hexadecimal>"}}`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from lyceum.adapters.xapi.problems import Problem
from lyceum.adapters.xapi.structure import Agent
from lyceum.adapters.xapi.vocabulary import IDENTITY_HOME_PAGE
from lyceum.records import IdentityHasher

_HASH = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_MAILTO = "mailto:"
# Possessive, and never from within a run of these characters: linear in the length of any text.
_EMAIL = re.compile(r"(?<![\w.!#$%&'*+^`~-])(?:mailto:)?[\w.!#$%&'*+^`~-]++@[\w-]++(?:\.[\w-]++)+", re.IGNORECASE)
_IDENTIFIERS: Final = frozenset({"mbox", "mbox_sha1sum", "openid", "account"})
_PERSON_TYPES: Final = ("Agent", "Group")
_PERSONAL: Final = frozenset(
    {
        "name", "firstname", "first_name", "lastname", "last_name", "givenname", "given_name", "familyname", "family_name",
        "fullname", "full_name", "displayname", "display_name", "surname", "nickname", "username", "user_name", "login",
        "email", "e-mail", "mail", "phone", "telephone",
    }
)  # fmt: skip
_PEOPLE: Final = frozenset({"actor", "authority", "instructor", "team", "member", "agent", "group"})
_STATEMENT: Final = ("attachments", "context", "id", "object", "result", "stored", "timestamp", "verb", "version")


def identifier_of(agent: Agent) -> str | None:
    """Return the canonical identifier of an agent or group; None where it has none (an anonymous group).

    `mbox:mailto:…` in lower case, `mbox_sha1sum:` with lower-case digits, `openid:…`, `account:<homePage> <name>`.
    Raises `Problem` where an identifier cannot be used, or where there is more than one (xAPI 1.0.3, 2.4.2.1).
    """
    found = []
    if agent.mbox is not None:
        if agent.mbox[: len(_MAILTO)].lower() != _MAILTO or len(agent.mbox.strip()) <= len(_MAILTO):
            raise Problem("invalid", "The mbox of an agent is not a mailto: address.")
        found.append(f"mbox:{agent.mbox.strip().lower()}")
    if agent.mbox_sha1sum is not None:
        if _SHA1.fullmatch(agent.mbox_sha1sum) is None:
            raise Problem("invalid", "The mbox_sha1sum of an agent is not 40 hexadecimal digits.")
        found.append(f"mbox_sha1sum:{agent.mbox_sha1sum.lower()}")
    if agent.openid is not None:
        if not agent.openid.strip():
            raise Problem("invalid", "The openid of an agent is empty.")
        found.append(f"openid:{agent.openid}")
    if agent.account is not None:
        home_page, name = agent.account.homePage, agent.account.name
        if not home_page or not name:
            raise Problem("invalid", "The account of an agent lacks its homePage or its name.")
        found.append(f"account:{home_page} {name}")
    if len(found) > 1:
        raise Problem(
            "invalid", "An agent has several identifiers; expected one of mbox, mbox_sha1sum, openid, account."
        )
    return found[0] if found else None


class Pseudonymizer:
    """Hashes agents and cleans free text for one organization.

    With `is_replay` the agents are pseudonyms that this class has written before: their hashes are taken as they are.
    """

    def __init__(self, hasher: IdentityHasher, *, is_replay: bool = False) -> None:
        self._hasher = hasher
        self._is_replay = is_replay

    def hash_of(self, agent: Agent) -> bytes | None:
        """Return the keyed hash of an agent or group, None where it is anonymous. Raises `Problem` as `identifier_of`."""
        if agent.objectType is not None and agent.objectType not in _PERSON_TYPES:
            raise Problem("invalid", "The objectType of a person is neither Agent nor Group.")
        identifier = identifier_of(agent)
        if identifier is None:
            return None
        account = agent.account
        if self._is_replay and account is not None and account.homePage == IDENTITY_HOME_PAGE:
            name = account.name or ""
            if _HASH.fullmatch(name):
                return bytes.fromhex(name)
        return self._hasher.hash(identifier)

    def hash_of_members(self, agent: Agent) -> bytes:
        """Return a keyed hash that stands for an anonymous group: that of the set of its members' hashes.

        Raises `Problem` where it has no members, or one of them is nobody.
        """
        hashes = set()
        for member in agent.member or ():
            hash_ = self.hash_of(member)
            if hash_ is None:
                raise Problem("invalid", "A member of a group has no identifier.")
            hashes.add(hash_)
        if not hashes:
            raise Problem("invalid", "A group has neither an identifier nor members.")
        return self._hasher.hash("group:" + " ".join(sorted(hash_.hex() for hash_ in hashes)))

    def clean_text(self, text: str) -> str:
        """Return the text with each e-mail address replaced by its pseudonym."""
        return _EMAIL.sub(self._pseudonym_of_address, text) if "@" in text else text

    def clean(self, value: Any) -> Any:
        """Return a free JSON value with agents as pseudonyms, without names, and with e-mail addresses replaced.

        An object with an identifier of an agent becomes that agent's pseudonym; properties that by their name hold a
        person's name or address are left out where they are texts. Cleaning twice changes nothing.
        """
        if isinstance(value, str):
            return self.clean_text(value)
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        if isinstance(value, dict):
            return self._clean_agent(value) if not _IDENTIFIERS.isdisjoint(value) else self._clean_mapping(value)
        return value

    def clean_refused(self, statement: dict[str, Any]) -> dict[str, Any]:
        """Return what may be kept of a statement that was refused: no people, no names, no unknown properties."""
        return {key: self._without_people(statement[key]) for key in _STATEMENT if key in statement}

    def _pseudonym_of_address(self, match: re.Match[str]) -> str:
        address = match[0].lower().removeprefix(_MAILTO)
        return f"{IDENTITY_HOME_PAGE}:{self._hasher.hash(f'mbox:{_MAILTO}{address}').hex()}"

    def _clean_mapping(self, mapping: dict[str, Any]) -> dict[str, Any]:
        return {
            self.clean_text(key): self.clean(value)
            for key, value in mapping.items()
            if not (isinstance(value, str) and key.lower() in _PERSONAL)
        }

    def _clean_agent(self, mapping: dict[str, Any]) -> dict[str, Any]:
        hash_ = self._hash_of_mapping(mapping)
        if hash_ is None:
            return self._clean_mapping({key: value for key, value in mapping.items() if key not in _IDENTIFIERS})
        cleaned: dict[str, Any] = {"account": {"homePage": IDENTITY_HOME_PAGE, "name": hash_.hex()}}
        if mapping.get("objectType") in _PERSON_TYPES:
            cleaned["objectType"] = mapping["objectType"]
        return cleaned

    def _hash_of_mapping(self, mapping: dict[str, Any]) -> bytes | None:
        try:
            return self.hash_of(_agent_of(mapping))
        except Problem:
            return None

    def _without_people(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.clean_text(value.encode(errors="replace").decode().replace("\x00", "�"))
        if isinstance(value, list):
            return [self._without_people(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("objectType")
        if not _IDENTIFIERS.isdisjoint(value) or kind in _PERSON_TYPES:
            return {"objectType": kind} if kind in _PERSON_TYPES else {}
        return {
            self._without_people(key): self._without_people(item)
            for key, item in value.items()
            if key not in _PEOPLE and not (isinstance(item, str) and key.lower() in _PERSONAL)
        }


def _agent_of(mapping: dict[str, Any]) -> Agent:
    try:
        return msgspec.convert(mapping, Agent)
    except msgspec.ValidationError:
        raise Problem("invalid", "An agent has properties of the wrong type.") from None
