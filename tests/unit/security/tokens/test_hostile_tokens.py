"""Tokens that somebody made up, altered or kept: each is refused, and for the reason that it should be."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lyceum.security.tokens.errors import Refusal, TokenError
from lyceum.security.tokens.verification import verify
from token_issuer import (
    EPOCH,
    NOW,
    SETTINGS,
    content,
    decoded,
    encoded,
    header,
    issuer_keys,
    pairs,
    stranger,
    symmetric,
    token,
)

Build = Callable[[], Any]


def _text(**changes: Any) -> bytes:
    """Return a good content as text, into which something can be written that no dict holds."""
    return json.dumps(content(**changes)).encode()


def _twice(name: str, value: str) -> bytes:
    return _text()[:-1] + f', "{name}": {value}}}'.encode()


def _pem(algorithm: str) -> bytes:
    public = pairs()[algorithm].private.public_key()
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _parts(text: str, number: int, change: Callable[[str], str]) -> str:
    parts = text.split(".")
    parts[number] = change(parts[number])
    return ".".join(parts)


def _recoded(name: str, value: object) -> str:
    """Return a good token with one claim changed and the signature left as it was."""
    return _parts(token(), 1, lambda part: encoded(json.loads(decoded(part)) | {name: value}).decode())


def _unsigned(algorithm: object, signature: str = "") -> str:
    return f"{encoded(header(alg=algorithm)).decode()}.{encoded(content()).decode()}.{signature}"


_WHOLE: dict[str, tuple[Build, Refusal]] = {
    "nothing": (lambda: "", Refusal.MALFORMED),
    "a word": (lambda: "token", Refusal.MALFORMED),
    "two parts": (lambda: token().rpartition(".")[0], Refusal.MALFORMED),
    "four parts": (lambda: token() + ".more", Refusal.MALFORMED),
    "five parts, as an encrypted token has": (lambda: token() + ".more.more", Refusal.MALFORMED),
    "no header": (lambda: "." + token().partition(".")[2], Refusal.MALFORMED),
    "no content": (lambda: _parts(token(), 1, lambda _: ""), Refusal.MALFORMED),
    "the word Bearer in front": (lambda: f"Bearer {token()}", Refusal.MALFORMED),
    "a line end behind": (lambda: token() + "\n", Refusal.MALFORMED),
    "a space within": (lambda: _parts(token(), 1, lambda part: part[:9] + " " + part[9:]), Refusal.MALFORMED),
    "a NUL within": (lambda: _parts(token(), 1, lambda part: part[:9] + "\0" + part[9:]), Refusal.MALFORMED),
    "a wide letter": (lambda: "ｅ" + token()[1:], Refusal.MALFORMED),
    "padding": (lambda: _parts(token(), 0, lambda part: part + "=="), Refusal.MALFORMED),
    "the other alphabet of base64": (lambda: _parts(token(), 2, lambda part: "+/" + part[2:]), Refusal.MALFORMED),
    "a header that is no base64": (lambda: _parts(token(), 0, lambda _: "abcde"), Refusal.MALFORMED),
    "bytes": (lambda: token().encode(), Refusal.TOO_LONG),
    "None": (lambda: None, Refusal.TOO_LONG),
    "a list": (lambda: [token()], Refusal.TOO_LONG),
    "eight kilobytes and one": (lambda: token(content(note="x" * 8192)), Refusal.TOO_LONG),
    "a hundred kilobytes": (lambda: token(content(note="x" * 100_000)), Refusal.TOO_LONG),
    "a hundred kilobytes of dots": (lambda: "." * 100_000, Refusal.TOO_LONG),
    "JSON serialization": (
        lambda: json.dumps({"payload": "e30", "signatures": [{"protected": "e30", "signature": ""}]}),
        Refusal.MALFORMED,
    ),
}

_HEADERS: dict[str, tuple[Build, Refusal]] = {
    "alg none, no signature": (lambda: _unsigned("none"), Refusal.ALGORITHM),
    "alg None": (lambda: _unsigned("None"), Refusal.ALGORITHM),
    "alg NONE": (lambda: _unsigned("NONE"), Refusal.ALGORITHM),
    "alg nOnE with a signature": (lambda: _unsigned("nOnE", token().rpartition(".")[2]), Refusal.ALGORITHM),
    "alg empty": (lambda: _unsigned(""), Refusal.ALGORITHM),
    "alg null": (lambda: _unsigned(None), Refusal.ALGORITHM),
    "alg a list": (lambda: _unsigned(["EdDSA"]), Refusal.ALGORITHM),
    "alg an object": (lambda: _unsigned({"EdDSA": 1}), Refusal.ALGORITHM),
    "alg a number": (lambda: _unsigned(1), Refusal.ALGORITHM),
    "alg true": (lambda: _unsigned(True), Refusal.ALGORITHM),
    "no alg": (lambda: token(head=header(alg=...)), Refusal.ALGORITHM),
    "alg in small letters": (lambda: token(head=header(alg="eddsa")), Refusal.ALGORITHM),
    "alg with a space": (lambda: token(head=header(alg="EdDSA ")), Refusal.ALGORITHM),
    "alg with a NUL": (lambda: token(head=header(alg="EdDSA\0")), Refusal.ALGORITHM),
    "alg with a look-alike letter": (lambda: token(head=header(alg="ЕdDSA")), Refusal.ALGORITHM),
    "HS256 with the RSA key as PEM": (lambda: symmetric(content(), _pem("RS256"), "rsa-1"), Refusal.ALGORITHM),
    "HS256 with the EC key as PEM": (lambda: symmetric(content(), _pem("ES256"), "ec-1"), Refusal.ALGORITHM),
    "HS256 with the Ed25519 key": (
        lambda: symmetric(content(), pairs()["EdDSA"].private.public_key().public_bytes_raw(), "ed-1"),
        Refusal.ALGORITHM,
    ),
    "HS256 with an empty key": (lambda: symmetric(content(), b"\0" * 32, "rsa-1"), Refusal.ALGORITHM),
    "HS512": (lambda: _unsigned("HS512", "AAAA"), Refusal.ALGORITHM),
    "RS512, which nobody declared": (
        lambda: token(head=header(alg="RS512", kid="rsa-1"), pair=pairs()["RS256"], algorithm="RS512"),
        Refusal.ALGORITHM,
    ),
    "ES256K": (lambda: token(head=header(alg="ES256K")), Refusal.ALGORITHM),
    "dir, as an encrypted token has": (lambda: token(head=header(alg="dir", enc="A256GCM")), Refusal.ALGORITHM),
    "RS256 with a key that is for PS256": (
        lambda: token(head=header(alg="RS256", kid="pss-1"), pair=pairs()["PS256"], algorithm="RS256"),
        Refusal.UNUSABLE_KEY,
    ),
    "PS256 with a key that is for RS256": (
        lambda: token(head=header(alg="PS256", kid="rsa-1"), pair=pairs()["RS256"], algorithm="PS256"),
        Refusal.UNUSABLE_KEY,
    ),
    "ES256 with the id of an RSA key": (
        lambda: token(head=header(alg="ES256", kid="rsa-1"), pair=pairs()["ES256"]),
        Refusal.UNUSABLE_KEY,
    ),
    "EdDSA said, RS256 signed": (lambda: token(pair=pairs()["RS256"]), Refusal.SIGNATURE),
    "no kid": (lambda: token(head=header(kid=...)), Refusal.KEY_ID),
    "kid null": (lambda: token(head=header(kid=None)), Refusal.KEY_ID),
    "kid empty": (lambda: token(head=header(kid="")), Refusal.KEY_ID),
    "kid a number": (lambda: token(head=header(kid=1)), Refusal.KEY_ID),
    "kid a list": (lambda: token(head=header(kid=["ed-1"])), Refusal.KEY_ID),
    "kid a path": (lambda: token(head=header(kid="../../../../dev/null")), Refusal.KEY_ID),
    "kid an absolute path": (lambda: token(head=header(kid="/etc/passwd")), Refusal.KEY_ID),
    "kid a path with dots alone": (lambda: token(head=header(kid="..")), Refusal.KEY_ID),
    "kid a Windows path": (lambda: token(head=header(kid="C:\\keys\\1")), Refusal.KEY_ID),
    "kid an address": (lambda: token(head=header(kid="https://evil.example/jwks.json")), Refusal.KEY_ID),
    "kid with SQL": (lambda: token(head=header(kid="x' union select 'key' --")), Refusal.KEY_ID),
    "kid with a command": (lambda: token(head=header(kid="key|id")), Refusal.KEY_ID),
    "kid with a NUL": (lambda: token(head=header(kid="ed-1\0")), Refusal.KEY_ID),
    "kid with a line end": (lambda: token(head=header(kid="ed-1\n")), Refusal.KEY_ID),
    "kid with a look-alike letter": (lambda: token(head=header(kid="еd-1")), Refusal.KEY_ID),
    "kid of a kilobyte": (lambda: token(head=header(kid="k" * 1024)), Refusal.KEY_ID),
    "a foreign kid": (lambda: token(head=header(kid="other-1")), Refusal.UNKNOWN_KEY),
    "kid in capitals": (lambda: token(head=header(kid="ED-1")), Refusal.UNKNOWN_KEY),
    "a name of Python": (lambda: token(head=header(kid="__class__")), Refusal.UNKNOWN_KEY),
    "jku": (lambda: token(head=header(jku="https://evil.example/jwks.json")), Refusal.KEY_IN_HEADER),
    "x5u": (lambda: token(head=header(x5u="https://evil.example/cert.pem")), Refusal.KEY_IN_HEADER),
    "x5c": (lambda: token(head=header(x5c=["MIIB"])), Refusal.KEY_IN_HEADER),
    "jwk, signed with that key": (
        lambda: token(head=header(jwk=stranger().public), pair=stranger()),
        Refusal.KEY_IN_HEADER,
    ),
    "jwk null": (lambda: token(head=header(jwk=None)), Refusal.KEY_IN_HEADER),
    "crit": (lambda: token(head=header(crit=["exp"])), Refusal.CRITICAL_HEADER),
    "crit empty": (lambda: token(head=header(crit=[])), Refusal.CRITICAL_HEADER),
    "b64 false": (lambda: token(head=header(b64=False, crit=["b64"])), Refusal.CRITICAL_HEADER),
    "b64 false without crit": (lambda: token(head=header(b64=False)), Refusal.CRITICAL_HEADER),
    "typ of a logout token": (lambda: token(head=header(typ="logout+jwt")), Refusal.TOKEN_TYPE),
    "typ of a proof of possession": (lambda: token(head=header(typ="dpop+jwt")), Refusal.TOKEN_TYPE),
    "typ a number": (lambda: token(head=header(typ=1)), Refusal.TOKEN_TYPE),
    "a nested token": (lambda: token(head=header(cty="JWT")), Refusal.TOKEN_TYPE),
    "alg twice": (
        lambda: token(head=b'{"alg": "none", "kid": "ed-1", "alg": "EdDSA"}'),
        Refusal.DUPLICATE_KEY,
    ),
    "kid twice": (
        lambda: token(head=b'{"alg": "EdDSA", "kid": "other", "kid": "ed-1"}'),
        Refusal.DUPLICATE_KEY,
    ),
    "alg twice, once escaped": (
        lambda: token(head=b'{"alg": "EdDSA", "kid": "ed-1", "\\u0061lg": "EdDSA"}'),
        Refusal.DUPLICATE_KEY,
    ),
    "a header that is a list": (lambda: token(head=b'["alg", "EdDSA"]'), Refusal.MALFORMED),
    "a header that is a text": (lambda: token(head=b'"EdDSA"'), Refusal.MALFORMED),
    "a header with a mark in front": (
        lambda: token(head=b"\xef\xbb\xbf" + json.dumps(header()).encode()),
        Refusal.MALFORMED,
    ),
    "a header in UTF-16": (lambda: token(head=json.dumps(header()).encode("utf-16")), Refusal.MALFORMED),
    "a header with NaN": (lambda: token(head=b'{"alg": "EdDSA", "kid": NaN}'), Refusal.MALFORMED),
    "a header of brackets": (lambda: token(head=b"[" * 4000), Refusal.MALFORMED),
}

_SIGNATURES: dict[str, tuple[Build, Refusal]] = {
    "no signature": (lambda: token().rpartition(".")[0] + ".", Refusal.SIGNATURE),
    "a cut signature": (lambda: token()[:-4], Refusal.SIGNATURE),
    "a signature of zeros": (lambda: token().rpartition(".")[0] + "." + encoded(bytes(64)).decode(), Refusal.SIGNATURE),
    "the signature of another token": (
        lambda: token().rpartition(".")[0] + "." + token(content(user="8")).rpartition(".")[2],
        Refusal.SIGNATURE,
    ),
    "a stranger's signature": (lambda: token(pair=stranger()), Refusal.SIGNATURE),
    "another role": (lambda: _recoded("role", "org_admin"), Refusal.SIGNATURE),
    "another organization": (lambda: _recoded("organization", "lakeside"), Refusal.SIGNATURE),
    "another user": (lambda: _recoded("user", "8"), Refusal.SIGNATURE),
    "a later end": (lambda: _recoded("exp", EPOCH + 601), Refusal.SIGNATURE),
    "another kid, same signature": (
        lambda: _parts(token(), 0, lambda _: encoded(header(alg="ES256", kid="ec-1")).decode()),
        Refusal.SIGNATURE,
    ),
    "an ES256 signature of zeros": (
        lambda: (
            f"{encoded(header(alg='ES256', kid='ec-1')).decode()}.{encoded(content()).decode()}.{encoded(bytes(64)).decode()}"
        ),
        Refusal.SIGNATURE,
    ),
    "an ES256 signature in DER": (
        lambda: (
            f"{encoded(header(alg='ES256', kid='ec-1')).decode()}.{encoded(content()).decode()}."
            + encoded(base64.b64decode("MAYCAQECAQE=")).decode()
        ),
        Refusal.SIGNATURE,
    ),
    "an RSA signature of one": (
        lambda: (
            f"{encoded(header(alg='RS256', kid='rsa-1')).decode()}.{encoded(content()).decode()}."
            + encoded(bytes(255) + b"\1").decode()
        ),
        Refusal.SIGNATURE,
    ),
    "the same bytes spelled otherwise": (
        # The last letter of 64 bytes in base64 carries unused bits, so that a second spelling exists.
        lambda: token()[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[token()[-1]],
        Refusal.SIGNATURE,
    ),
}

_CONTENTS: dict[str, tuple[Build, Refusal]] = {
    "a list": (lambda: token(b"[1]"), Refusal.MALFORMED),
    "a text": (lambda: token(b'"claims"'), Refusal.MALFORMED),
    "no JSON": (lambda: token(b"claims"), Refusal.MALFORMED),
    "JSON and more": (lambda: token(_text() + b"{}"), Refusal.MALFORMED),
    "broken UTF-8": (lambda: token(_text(sub="x").replace(b'"x"', b'"\xff\xfe"')), Refusal.MALFORMED),
    "UTF-16": (lambda: token(_text().decode().encode("utf-16")), Refusal.MALFORMED),
    "brackets": (lambda: token(b'{"a":' + b"[" * 4000), Refusal.MALFORMED),
    "NaN": (lambda: token(_twice("n", "NaN")), Refusal.MALFORMED),
    "Infinity": (lambda: token(_twice("n", "-Infinity")), Refusal.MALFORMED),
    "a number of 5000 digits": (lambda: token(_twice("n", "9" * 5000)), Refusal.MALFORMED),
    "role twice": (lambda: token(_twice("role", '"org_admin"')), Refusal.DUPLICATE_KEY),
    "exp twice": (lambda: token(_twice("exp", str(EPOCH + 9))), Refusal.DUPLICATE_KEY),
    "organization twice": (lambda: token(_twice("organization", '"lakeside"')), Refusal.DUPLICATE_KEY),
    "role twice, once escaped": (lambda: token(_twice("\\u0072ole", '"org_admin"')), Refusal.DUPLICATE_KEY),
    "something twice further in": (lambda: token(_twice("more", '{"a": 1, "a": 2}')), Refusal.DUPLICATE_KEY),
}

_CLAIMS: dict[str, tuple[dict[str, Any], Refusal]] = {
    "no iss": ({"iss": ...}, Refusal.MISSING_CLAIM),
    "no aud": ({"aud": ...}, Refusal.MISSING_CLAIM),
    "no exp": ({"exp": ...}, Refusal.MISSING_CLAIM),
    "no sub": ({"sub": ...}, Refusal.MISSING_CLAIM),
    "no iat": ({"iat": ...}, Refusal.MISSING_CLAIM),
    "nbf in place of iat": ({"iat": ..., "nbf": EPOCH}, Refusal.MISSING_CLAIM),
    "another issuer": ({"iss": "https://evil.example"}, Refusal.ISSUER),
    "the issuer with a slash": ({"iss": "https://login.example/"}, Refusal.ISSUER),
    "the issuer in capitals": ({"iss": "HTTPS://LOGIN.EXAMPLE"}, Refusal.ISSUER),
    "the issuer and more": ({"iss": "https://login.example.evil.example"}, Refusal.ISSUER),
    "the issuer with a NUL": ({"iss": "https://login.example\0"}, Refusal.ISSUER),
    "the issuer with a look-alike letter": ({"iss": "https://lоgin.example"}, Refusal.ISSUER),
    "an empty issuer": ({"iss": ""}, Refusal.ISSUER),
    "a list of issuers": ({"iss": ["https://login.example"]}, Refusal.CLAIM_TYPE),
    "iss null": ({"iss": None}, Refusal.CLAIM_TYPE),
    "another audience": ({"aud": "billing"}, Refusal.AUDIENCE),
    "the audience in capitals": ({"aud": "LYCEUM"}, Refusal.AUDIENCE),
    "the audience as a part of another": ({"aud": "lyceum-admin"}, Refusal.AUDIENCE),
    "an empty audience": ({"aud": ""}, Refusal.AUDIENCE),
    "no audiences": ({"aud": []}, Refusal.AUDIENCE),
    "other audiences": ({"aud": ["billing", "mail"]}, Refusal.AUDIENCE),
    "aud null": ({"aud": None}, Refusal.CLAIM_TYPE),
    "aud an object": ({"aud": {"lyceum": True}}, Refusal.CLAIM_TYPE),
    "aud with a number": ({"aud": ["lyceum", 1]}, Refusal.CLAIM_TYPE),
    "a hundred audiences": ({"aud": ["lyceum"] * 100}, Refusal.CLAIM_TYPE),
    "expired": ({"exp": EPOCH - 10, "iat": EPOCH - 600}, Refusal.EXPIRED),
    "expired years ago": ({"exp": 1, "iat": 1}, Refusal.EXPIRED),
    "exp 1e30": ({"exp": 1e30}, Refusal.CLAIM_TYPE),
    "exp a large integer": ({"exp": 10**30}, Refusal.CLAIM_TYPE),
    "exp in milliseconds": ({"exp": (EPOCH + 600) * 1000}, Refusal.CLAIM_TYPE),
    "exp a fraction": ({"exp": EPOCH + 600.5}, Refusal.CLAIM_TYPE),
    "exp a whole fraction": ({"exp": float(EPOCH + 600)}, Refusal.CLAIM_TYPE),
    "exp a text": ({"exp": str(EPOCH + 600)}, Refusal.CLAIM_TYPE),
    "exp true": ({"exp": True}, Refusal.CLAIM_TYPE),
    "exp null": ({"exp": None}, Refusal.CLAIM_TYPE),
    "exp a list": ({"exp": [EPOCH + 600]}, Refusal.CLAIM_TYPE),
    "exp negative": ({"exp": -1}, Refusal.CLAIM_TYPE),
    "exp zero": ({"exp": 0}, Refusal.CLAIM_TYPE),
    "not yet valid": ({"nbf": EPOCH + 11}, Refusal.NOT_YET_VALID),
    "issued in the future": ({"iat": EPOCH + 11}, Refusal.NOT_YET_VALID),
    "nbf a text": ({"nbf": str(EPOCH)}, Refusal.CLAIM_TYPE),
    "nbf null": ({"nbf": None}, Refusal.CLAIM_TYPE),
    "nbf 1e30": ({"nbf": 1e30}, Refusal.CLAIM_TYPE),
    "iat true": ({"iat": True}, Refusal.CLAIM_TYPE),
    "iat a text": ({"iat": str(EPOCH)}, Refusal.CLAIM_TYPE),
    "valid for a day": ({"exp": EPOCH + 86400}, Refusal.LIFETIME),
    "valid for a second more than an hour": ({"exp": EPOCH + 3601}, Refusal.LIFETIME),
    "valid until the year 9999": ({"exp": 253_402_300_799}, Refusal.LIFETIME),
    "an nbf that makes a long life look short": (
        {"iat": EPOCH - 86400, "nbf": EPOCH, "exp": EPOCH + 600},
        Refusal.LIFETIME,
    ),
    "ending before it began": ({"iat": EPOCH + 5, "exp": EPOCH}, Refusal.LIFETIME),
    "sub null": ({"sub": None}, Refusal.CLAIM_TYPE),
    "sub empty": ({"sub": ""}, Refusal.CLAIM_TYPE),
    "sub a number": ({"sub": 7}, Refusal.CLAIM_TYPE),
    "sub with a NUL": ({"sub": "ada\0"}, Refusal.CLAIM_TYPE),
    "sub with a line end": ({"sub": "ada\nadmin"}, Refusal.CLAIM_TYPE),
    "sub that runs from right to left": ({"sub": "ada\u202eadmin"}, Refusal.CLAIM_TYPE),
    "sub with half a letter": ({"sub": "ada\ud800"}, Refusal.CLAIM_TYPE),
    "sub of a kilobyte": ({"sub": "a" * 1024}, Refusal.CLAIM_TYPE),
    "jti a number": ({"jti": 1}, Refusal.CLAIM_TYPE),
    "no role": ({"role": ...}, Refusal.ROLE),
    "role superuser": ({"role": "superuser"}, Refusal.ROLE),
    "role postgres": ({"role": "postgres"}, Refusal.ROLE),
    "role of the owner": ({"role": "owner"}, Refusal.ROLE),
    "role of the pipeline": ({"role": "pipeline"}, Refusal.ROLE),
    "role by its name in the database": ({"role": "lyceum_org_admin"}, Refusal.ROLE),
    "role in capitals": ({"role": "ORG_ADMIN"}, Refusal.ROLE),
    "role with a space": ({"role": "org_admin "}, Refusal.ROLE),
    "role with SQL": ({"role": "learner; set role postgres"}, Refusal.ROLE),
    "role with a quote": ({"role": 'learner"'}, Refusal.ROLE),
    "role with a NUL": ({"role": "learner\0"}, Refusal.ROLE),
    "role with a look-alike letter": ({"role": "lеarner"}, Refusal.ROLE),
    "a list of roles": ({"role": ["learner", "org_admin"]}, Refusal.ROLE),
    "role null": ({"role": None}, Refusal.ROLE),
    "role true": ({"role": True}, Refusal.ROLE),
    "no organization": ({"organization": ...}, Refusal.ORGANIZATION),
    "organization null": ({"organization": None}, Refusal.ORGANIZATION),
    "organization empty": ({"organization": ""}, Refusal.ORGANIZATION),
    "organization a number": ({"organization": 1}, Refusal.ORGANIZATION),
    "organization a fraction": ({"organization": 1.5}, Refusal.ORGANIZATION),
    "organization true": ({"organization": True}, Refusal.ORGANIZATION),
    "a list of organizations": ({"organization": ["harbor-college", "lakeside"]}, Refusal.ORGANIZATION),
    "organization an object": ({"organization": {"slug": "harbor-college"}}, Refusal.ORGANIZATION),
    "organization with a star": ({"organization": "*"}, Refusal.ORGANIZATION),
    "organization with a percent sign": ({"organization": "harbor%"}, Refusal.ORGANIZATION),
    "organization in capitals": ({"organization": "Harbor-College"}, Refusal.ORGANIZATION),
    "organization with a space": ({"organization": "harbor-college "}, Refusal.ORGANIZATION),
    "organization with a line end": ({"organization": "harbor-college\n"}, Refusal.ORGANIZATION),
    "organization with a NUL": ({"organization": "harbor-college\0"}, Refusal.ORGANIZATION),
    "organization with a quote": ({"organization": "harbor' or '1'='1"}, Refusal.ORGANIZATION),
    "organization with a double quote": ({"organization": 'harbor"college'}, Refusal.ORGANIZATION),
    "organization with a backslash": ({"organization": "harbor\\college"}, Refusal.ORGANIZATION),
    "organization with a dollar": ({"organization": "$$harbor$$"}, Refusal.ORGANIZATION),
    "organization a path": ({"organization": "../lakeside"}, Refusal.ORGANIZATION),
    "organization with a look-alike letter": ({"organization": "hаrbor-college"}, Refusal.ORGANIZATION),
    "organization with wide letters": ({"organization": "ｈarbor-college"}, Refusal.ORGANIZATION),
    "organization with an invisible letter": ({"organization": "harbor\u200b-college"}, Refusal.ORGANIZATION),
    "organization with a soft hyphen": ({"organization": "harbor\u00adcollege"}, Refusal.ORGANIZATION),
    "organization of a kilobyte": ({"organization": "h" * 1024}, Refusal.ORGANIZATION),
    "a learner who is nobody": ({"user": ...}, Refusal.USER),
    "a trainer who is nobody": ({"role": "trainer", "user": ...}, Refusal.USER),
    "user null": ({"user": None}, Refusal.USER),
    "user a number": ({"user": 7}, Refusal.USER),
    "user a fraction": ({"user": 7.0}, Refusal.USER),
    "user true": ({"user": True}, Refusal.USER),
    "user empty": ({"user": ""}, Refusal.USER),
    "user zero": ({"user": "0"}, Refusal.USER),
    "user negative": ({"user": "-7"}, Refusal.USER),
    "user with a plus": ({"user": "+7"}, Refusal.USER),
    "user with a leading zero": ({"user": "07"}, Refusal.USER),
    "user with underscores": ({"user": "1_0"}, Refusal.USER),
    "user with a space": ({"user": " 7"}, Refusal.USER),
    "user with SQL": ({"user": "7 or true"}, Refusal.USER),
    "user in other digits": ({"user": "٧"}, Refusal.USER),
    "user in digits of two scripts": ({"user": "1٧"}, Refusal.USER),
    "user in wide digits": ({"user": "７"}, Refusal.USER),
    "user beyond 64 bits": ({"user": str(2**63)}, Refusal.USER),
    "user an address": ({"user": "ada@example.org"}, Refusal.USER),
    "a list of users": ({"user": ["7"]}, Refusal.USER),
    "scope a number": ({"scope": 1}, Refusal.SCOPE),
    "scope zero": ({"scope": 0}, Refusal.SCOPE),
    "scope null": ({"scope": None}, Refusal.SCOPE),
    "scope an object": ({"scope": {"read": True}}, Refusal.SCOPE),
    "scope with a star": ({"scope": "*"}, Refusal.SCOPE),
    "scope in capitals": ({"scope": "READ"}, Refusal.SCOPE),
    "scope with a quote": ({"scope": "read'"}, Refusal.SCOPE),
    "scope with a tab": ({"scope": "read\twrite"}, Refusal.SCOPE),
    "scope with a NUL": ({"scope": "read\0"}, Refusal.SCOPE),
    "two spaces between scopes": ({"scope": "read  write"}, Refusal.SCOPE),
    "a list of scopes with a number": ({"scope": ["read", 1]}, Refusal.SCOPE),
    "a list of scopes in one": ({"scope": ["read write"]}, Refusal.SCOPE),
    "a scope of a kilobyte": ({"scope": "r" * 1024}, Refusal.SCOPE),
    "a hundred scopes": ({"scope": " ".join(f"s{number}" for number in range(100))}, Refusal.SCOPE),
}


def _built(changes: dict[str, Any]) -> Build:
    return lambda: token(content(**changes))


_HOSTILE: dict[str, tuple[Build, Refusal]] = {
    **{f"whole: {name}": case for name, case in _WHOLE.items()},
    **{f"header: {name}": case for name, case in _HEADERS.items()},
    **{f"signature: {name}": case for name, case in _SIGNATURES.items()},
    **{f"content: {name}": case for name, case in _CONTENTS.items()},
    **{f"claim: {name}": (_built(changes), reason) for name, (changes, reason) in _CLAIMS.items()},
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_hostile_token_is_refused_for_its_reason(name: str) -> None:
    build, reason = _HOSTILE[name]
    hostile = build()

    with pytest.raises(TokenError) as refusal:
        verify(hostile, SETTINGS, issuer_keys(), lambda: NOW)

    assert refusal.value.reason is reason, str(refusal.value)
    message = str(refusal.value)
    for secret in ("harbor", "lakeside", "ada", "evil", "somebody", "ed-1", "rsa-1", "token-1"):
        assert secret not in message
    if isinstance(hostile, str):
        assert not any(part and part in message for part in hostile.split(".") if len(part) > 20)


@pytest.mark.parametrize("claim", ["7", "harbor-college", "1 ", "01", "", "9223372036854775808", 7, None, ["7"]])
def test_an_organization_that_is_declared_as_an_id_is_nothing_else(claim: object) -> None:
    settings = replace(SETTINGS, claims=replace(SETTINGS.claims, organization_is_id=True))
    good = token(content(organization=claim))

    if claim == "7":
        assert verify(good, settings, issuer_keys(), lambda: NOW).organization_id == 7
        # And a slug of digits is a slug: it never stands for the organization of that id.
        access = verify(good, SETTINGS, issuer_keys(), lambda: NOW)
        assert (access.slug, access.organization_id) == ("7", None)
        return
    with pytest.raises(TokenError) as refusal:
        verify(good, settings, issuer_keys(), lambda: NOW)
    assert refusal.value.reason is Refusal.ORGANIZATION


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_an_algorithm_that_the_operator_left_out_is_refused(algorithm: str) -> None:
    pair = pairs()[algorithm]
    good = token(head=header(alg=algorithm, kid=pair.key_id), pair=pair)
    assert verify(good, SETTINGS, issuer_keys(), lambda: NOW).role == "learner"

    with pytest.raises(TokenError) as refusal:
        verify(good, replace(SETTINGS, algorithms=("EdDSA",)), issuer_keys(), lambda: NOW)

    assert refusal.value.reason is Refusal.ALGORITHM


def test_there_are_at_least_two_hundred_hostile_tokens_and_every_reason_among_them() -> None:
    # A whole token does not show NOT_ACCEPTED, which is the database's.
    assert len(_HOSTILE) >= 200
    assert set(Refusal) - {reason for _, reason in _HOSTILE.values()} == {Refusal.NOT_ACCEPTED}
