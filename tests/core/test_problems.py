from __future__ import annotations

from typing import Any

import pytest

from crossapp_core import Settings
from tests.core.configuring import ADVICE, KEY, SECRET, THIRD, peer, problem, problems


class TestEventKey:
    @pytest.mark.parametrize(
        "key",
        [
            *(" ", "  \t", "a b", f"{KEY} ", f" {KEY}", f"{KEY}\n", "a/b", "..", "../e", "a?b", "a#b", "a%2fb", "a\0"),
            *("a.b", "ключ", "kéy", "https://inn.gs/e/abc", '"abc"', "\ud800"),
        ],
        ids=ascii,
    )
    def test_forms(self, key: str) -> None:
        """
        The key stands in a URL: only letters, digits, _ and - are in one.
        """
        assert problem(event_key=key) == (
            "the event_key of ai-hero must be of A-Za-z0-9_- alone: copy the event key again, without spaces or URL"
        )

    def test_empty(self) -> None:
        """
        A key that is missing says where to find it.
        """
        assert problem(event_key="").endswith(
            "is not set: the event key of ai-hero's Inngest environment (Manage > Event keys there)"
        )

    def test_as_secret(self) -> None:
        """
        The event key is seen by more people than the secret, so it can't be the secret too.
        """
        key = "k" * 40

        assert problem(event_key=key, secret=key).startswith(
            "the secret of ai-hero is the event key, which more people"
        )
        assert problem(event_key=key, previous_secret=key).startswith("the secret of ai-hero is the event key")


class TestSecret:
    @pytest.mark.parametrize(("secret", "size"), [("x", 1), ("x" * 31, 31), ("ü" * 15 + "x", 31)])
    def test_short(self, secret: str, size: int) -> None:
        """
        A secret has at least 32 bytes, and the problem says how to make one.
        """
        assert problem(secret=secret) == f"the secret of ai-hero has {size} bytes, needs 32: {ADVICE}"
        assert problem(previous_secret=secret) == f"the previous_secret of ai-hero has {size} bytes, needs 32: {ADVICE}"

    def test_32_bytes(self) -> None:
        """
        32 bytes are enough.
        """
        for secret in ("x" * 32, "ü" * 16):
            assert Settings("total-typescript", [peer(secret=secret)]).peer("ai-hero").signing_key.octets

    @pytest.mark.parametrize(
        "secret",
        [
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA\\n-----END",
            "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUg=",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5 ada@example",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB",
            '{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"}',
            '{ "alg": "RS256", "kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx"}',
        ],
        ids=lambda secret: secret[:20],
    )
    def test_other_kinds(self, secret: str) -> None:
        """
        A public key or a JWK is no secret.
        """
        assert problem(secret=secret) == f"the secret of ai-hero is a key of another kind, not a secret: {ADVICE}"

    @pytest.mark.parametrize(
        "secret", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\u00a0", f"{SECRET}\0x", SECRET + "\udcff"], ids=ascii
    )
    def test_white_space(self, secret: str) -> None:
        """
        What was copied along with the secret would make it another in each app.
        """
        assert problem(secret=secret) == (
            "the secret of ai-hero has white space around it or control characters in it: copy it again"
        )

    @pytest.mark.parametrize(
        ("one", "other", "names"),
        [
            ({}, {}, "the secret of ai-hero and the secret of c"),
            ({"previous_secret": THIRD}, {"secret": THIRD}, "the previous_secret of ai-hero and the secret of c"),
            ({}, {"secret": THIRD, "previous_secret": SECRET}, "the secret of ai-hero and the previous_secret of c"),
        ],
    )
    def test_same_for_two_peers(self, one: dict[str, str], other: dict[str, str], names: str) -> None:
        """
        Two peers with one secret could sign in each other's name.
        """
        assert problems(peer(**one), peer("c", **other)) == [
            f"{names} are the same, so one app could sign in the other's name: give each its own"
        ]

    def test_same_as_previous(self) -> None:
        """
        A previous secret that is still the current one does no harm.
        """
        assert Settings("total-typescript", [peer(previous_secret=SECRET)]).peer("ai-hero").previous_secret

    def test_sketch_peer(self) -> None:
        """
        Only a peer without our library may have no secret, and then nothing verifies for it.
        """
        settings = Settings("total-typescript", [peer(secret="", sketch=True)])

        assert settings.peer("ai-hero").verifying_keys == ()
        assert not settings.peer("ai-hero").is_signing
        assert problem(secret="x", sketch=True).startswith("the secret of ai-hero has 1 bytes")


class TestUrls:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("https://inn.gs", "https://inn.gs"),
            ("https://inn.gs/", "https://inn.gs"),
            ("HTTPS://Inngest.Example:8443", "HTTPS://Inngest.Example:8443"),
            ("https://[2001:db8::1]:8288", "https://[2001:db8::1]:8288"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ],
    )
    def test_takes(self, given: str, kept: str) -> None:
        """
        A base URL is scheme, host and perhaps a port; a slash at its end is dropped.
        """
        assert Settings("total-typescript", [peer(base_url=given)]).peer("ai-hero").base_url == kept

    @pytest.mark.parametrize(
        "url", ["http://localhost:8288", "http://[::1]:8288", "http://127.0.0.1", "http://inngest_dev:1"]
    )
    def test_http(self, url: str) -> None:
        """
        Plain http is for development alone.
        """
        assert Settings("total-typescript", [peer(base_url=url)], dev=True).dev
        assert problem(base_url=url) == (
            f"the base_url of ai-hero must be https, got {url} (http only with Settings(dev=True))"
        )

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "",
                "inn.gs",
                "//inn.gs",
                "ftp://inn.gs",
                "javascript:alert(1)",
                "file:///etc/passwd",
                "https://",
                "https:",
            ),
            *(
                "https://:8288",
                "https://inn.gs:0",
                "https://inn.gs:99999",
                "https://inn.gs:x",
                "https://[::1",
                "https://inn gs",
            ),
            *(
                "https://inn.gs\n",
                "https://inn.gs\r\nHost: evil",
                "\thttps://inn.gs",
                "https://ínn.gs",
                "https://inn.gs\0",
            ),
            *("https://.inn.gs", "https://inn..gs", "https://in%6e.gs", "https://a,b", "https://[::1%25eth0]"),
        ],
        ids=ascii,
    )
    def test_refuses_what_is_none(self, url: str) -> None:
        """
        What is no URL of a host is refused, in development too.
        """
        assert problem(base_url=url, dev=True).startswith(
            ("the base_url of ai-hero must be a URL like", "the base_url of ai-hero must name a host")
        )

    @pytest.mark.parametrize(
        "tail",
        ["/e", "/e/key", "//", "?", "?a=b", "#", "#a", "/?a", "/#", "\\evil.example", "/..", ";a", "/;a"],
    )
    def test_refuses_more_than_a_host(self, tail: str) -> None:
        """
        A path, query or fragment isn't silently dropped, and isn't repeated: a key may stand in it.
        """
        assert problem(base_url=f"https://inn.gs{tail}", dev=True).startswith("the base_url of ai-hero must ")

    @pytest.mark.parametrize("user", ["ada@", "ada:s3cret@", ":@", "@"])
    def test_refuses_users(self, user: str) -> None:
        """
        A user in the URL is refused and not shown.
        """
        told = problem(base_url=f"http://{user}inn.gs")

        assert told == (
            "the base_url of ai-hero must be scheme and host alone, like https://inn.gs,"
            " without user, path, query or fragment"
        )

    @pytest.mark.parametrize("field", ["web_url", "return_to_origins"])
    @pytest.mark.parametrize(
        "url", ["http://ai.example", "https://ai.example/x", "//ai.example", "javascript:x", "https://a@b"]
    )
    def test_pages(self, field: str, url: str) -> None:
        """
        The origins of pages follow the same rules.
        """
        value: Any = (url,) if field == "return_to_origins" else url
        told = problem(**{field: value})

        assert told.startswith(f"the {field} of ai-hero must be ")
