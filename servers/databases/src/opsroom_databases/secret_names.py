"""Tells by its name whether a column looks like a secret. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")

_FORMS = """
    argon2 b64 base64 bcrypt bytes cipher ciphertext crypt current der digest enc encrypted hash hashed hex jwk md md5 new old
    pbkdf2 pem plain plaintext prev previous raw salt salted scrypt sha sha1 sha2 sha256 sha512 string text value
"""
# What may follow the word itself: how the secret is written, or which one of several it is.
_WRITTEN_AS = frozenset(_FORMS.split())
_STATEMENTS = """
    allow allows can change changed disable enable enabled has have is lost needs no num number requires reset use uses with
"""
# A name that begins so says something about the secret.
_ABOUT = frozenset(_STATEMENTS.split())

_PHRASES = """
    password; passwd; passphrase; passcode; pwd; secret; token; credential; credentials; passwords; secrets; user pass; db pass;
    login pass; smtp pass; ftp pass; mail pass; access tokens; refresh tokens; api tokens; auth tokens; session tokens; jwt;
    bearer; api key; api keys; access key; access keys; secret key; secret keys; private key; private keys; signing key;
    encryption key; decryption key; auth key; master key; service key; account key; ssh key; pgp key; gpg key;
    hmac key; aes key; session key;
    otp; totp; pin; card pin; cvv; cvc; security code; recovery code; recovery codes;
    backup code; backup codes;
    otp code; mfa code; auth code; authorization code; login code; one time code; seed phrase; recovery phrase; mnemonic phrase;
    card number; card numbers; card no; card num; cc number; cc num; cc no; credit card; debit card; pan; card pan;
    primary account number; track data; bank account number; ssn; social security number; social security no;
    social security; social insurance number; national insurance number; national id; national id number; national id no;
    passport number; passport no; driver license number; drivers license number; driver licence number; drivers licence number;
    connection string
"""
_SECRET_PHRASES = tuple(tuple(phrase.split()) for phrase in _PHRASES.split(";") if phrase.strip())
_RUN_TOGETHER = frozenset(
    {"".join(phrase) for phrase in _SECRET_PHRASES if len(phrase) > 1}
    | {"authtoken", "sessiontoken", "creditcardnumber", "ccnumber", "hashedpassword", "encryptedpassword"}
)
_IN_ONE_WORD = ("password", "passwd")


@dataclass(frozen=True)
class Policy:
    """What is masked in one database: what looks like a secret, what is named besides, but not what is excepted.

    A pattern is `column` or `table.column`, without case; `*` stands for any part.
    """

    on: bool = True
    also: tuple[str, ...] = ()
    excepted: tuple[str, ...] = ()

    def masks(self, relation: str, column: str) -> bool:
        if not self.on or _matches(relation, column, self.excepted):
            return False
        return looks_secret(column, relation) or _matches(relation, column, self.also)

    def excepts(self, relation: str, column: str) -> bool:
        return not self.on or _matches(relation, column, self.excepted)


@lru_cache(4_096)
def looks_secret(column: str, relation: str = "") -> bool:
    """Whether the words of *column* end in what is kept secret. *relation* names what a bare `value` or `hash` is of."""
    words = words_of(column)
    if not words or (len(words) > 1 and words[0] in _ABOUT):
        return False
    kept = _without_form(words)
    if not kept:
        return bool(words) and words[-1] not in ("text", "string", "bytes") and _is_phrase(_singular(words_of(relation)))
    if kept == ["key"]:
        return (singular := _singular(words_of(relation)))[-1:] == ["key"] and _is_phrase(singular)
    return _is_phrase(kept)


def words_of(name: str) -> list[str]:
    """`passwordHash2` as password, hash, 2."""
    return [part.lower() for part in _PARTS.findall(name)]


def _without_form(words: Sequence[str]) -> list[str]:
    kept = list(words)
    while kept and (kept[-1] in _WRITTEN_AS or kept[-1].isdecimal()):
        kept.pop()
    return kept


def _is_phrase(words: Sequence[str]) -> bool:
    if not words:
        return False
    if any(tuple(words[-len(phrase) :]) == phrase for phrase in _SECRET_PHRASES):
        return True
    last = words[-1]
    if any(last.endswith(together) for together in _RUN_TOGETHER):
        return True
    for secret in _IN_ONE_WORD:
        before, found, after = last.partition(secret)
        if found and before not in _ABOUT and after in _WRITTEN_AS | {""}:
            return True
    return False


def _singular(words: Sequence[str]) -> list[str]:
    if not words:
        return []
    last = words[-1]
    return [*words[:-1], last[:-1] if last.endswith("s") and not last.endswith("ss") else last]


def _matches(relation: str, column: str, patterns: Iterable[str]) -> bool:
    relation, column = relation.lower(), column.lower()
    bare = relation.rpartition(".")[2]
    for pattern in patterns:
        table, dot, name = pattern.lower().rpartition(".")
        if fnmatchcase(column, name) and (not dot or fnmatchcase(relation, table) or fnmatchcase(bare, table)):
            return True
    return False
