from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
from pydantic import SecretStr

from crossapp_core import Peer, Settings
from crossapp_core.errors import CrossAppConfigError, UnknownPeerError
from tests.core.configuring import ADVICE, ENVIRON, KEY, PREVIOUS, SECRET, THIRD, peer, problem, problems, problems_from


class TestFromEnv:
    def test_one_peer(self) -> None:
        """
        With one peer its event key and the secret are enough.
        """
        settings = Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, environ=ENVIRON)

        assert settings == Settings("total-typescript", [peer(env_prefix="AI_HERO")])
        assert settings.peer("ai-hero").base_url == "https://inn.gs"
        assert settings.peer("ai-hero").event_key_name == "AI_HERO_INNGEST_EVENT_KEY"
        assert not settings.dev

    def test_everything(self) -> None:
        """
        All that can be said of a peer can be said by the environment.
        """
        environ = {
            **ENVIRON,
            "CROSS_APP_SECRET_PREVIOUS": PREVIOUS,
            "AI_HERO_INNGEST_BASE_URL": "http://127.0.0.1:8288/",
            "AI_HERO_NAME": "AI Hero",
            "AI_HERO_WEB_URL": "https://ai.example/",
            "AI_HERO_RETURN_TO": "https://ai.example, https://www.ai.example/ ,",
        }
        settings = Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, dev=True, environ=environ)

        assert settings.peer("ai-hero") == peer(
            previous_secret=PREVIOUS,
            base_url="http://127.0.0.1:8288",
            display_name="AI Hero",
            web_url="https://ai.example",
            return_to_origins=("https://ai.example", "https://www.ai.example"),
            env_prefix="AI_HERO",
        )
        assert settings.dev

    def test_sketch_peer(self) -> None:
        """
        A peer without this library is marked, and needs no secret.
        """
        environ = {"AI_HERO_INNGEST_EVENT_KEY": KEY}
        peers = {"ai-hero": "AI_HERO"}
        settings = Settings.from_env("total-typescript", peers=peers, sketch=["ai-hero"], environ=environ)

        assert settings.sketches == {"ai-hero"}
        assert not settings.peer("ai-hero").is_signing
        assert Settings.from_env("total-typescript", peers=peers, environ=ENVIRON).sketches == set()

    @pytest.mark.parametrize("sketch", [["other"], "ai-hero"])
    def test_sketch_peer_that_is_none(self, sketch: str | list[str]) -> None:
        """
        What is marked must be one of the peers, in a list.
        """
        with pytest.raises(CrossAppConfigError, match="sketch must list ids of peers, like"):
            Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, sketch=sketch, environ=ENVIRON)

    def test_several_peers(self) -> None:
        """
        With several peers each has a secret of its own.
        """
        environ = {
            "AI_HERO_INNGEST_EVENT_KEY": KEY,
            "AI_HERO_CROSS_APP_SECRET": SECRET,
            "C_INNGEST_EVENT_KEY": "c",
            "C_CROSS_APP_SECRET": THIRD,
            "C_CROSS_APP_SECRET_PREVIOUS": PREVIOUS,
        }
        settings = Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO", "c": "C"}, environ=environ)

        third = peer("c", event_key="c", secret=THIRD, previous_secret=PREVIOUS, env_prefix="C")
        assert dict(settings.peers) == {"ai-hero": peer(env_prefix="AI_HERO"), "c": third}

    def test_secret_of_its_own_for_one_peer(self) -> None:
        """
        A single peer's own secret counts before the shared one, so that a second peer can be prepared for.
        """
        environ = {**ENVIRON, "AI_HERO_CROSS_APP_SECRET": THIRD, "CROSS_APP_SECRET_PREVIOUS": PREVIOUS}
        settings = Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, environ=environ)

        assert settings.peer("ai-hero").secret == SecretStr(THIRD)
        assert settings.peer("ai-hero").previous_secret == SecretStr(PREVIOUS)

    def test_process_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Unless told otherwise, the process's environment is read, when from_env is called.
        """
        for name, value in ENVIRON.items():
            monkeypatch.setenv(name, value)

        assert Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}).peer("ai-hero").secret
        monkeypatch.delenv("CROSS_APP_SECRET")
        with pytest.raises(CrossAppConfigError, match="CROSS_APP_SECRET is not set"):
            Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"})

    def test_all_mistakes_at_once(self) -> None:
        """
        All that is missing or wrong is told in one error, each with what to do about it.
        """
        environ = {"CROSS_APP_SECRET": "x" * 12, "AI_HERO_INNGEST_BASE_URL": "http://inn.gs"}
        with pytest.raises(CrossAppConfigError) as caught:
            Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, environ=environ)

        assert str(caught.value) == (
            "3 problems with the settings of total-typescript\n"
            "  AI_HERO_INNGEST_EVENT_KEY is not set: the event key of ai-hero's Inngest environment"
            " (Manage > Event keys there)\n"
            '  CROSS_APP_SECRET has 12 bytes, needs 32: python -c "import secrets; print(secrets.token_urlsafe(32))",'
            " the same in both apps\n"
            "  AI_HERO_INNGEST_BASE_URL must be https, got http://inn.gs (http only with Settings(dev=True))"
        )

    def test_names_every_variable(self) -> None:
        """
        Each problem names the variable that was read.
        """
        wrong = {
            "AI_HERO_INNGEST_EVENT_KEY": "a b",
            "AI_HERO_CROSS_APP_SECRET": "short",
            "CROSS_APP_SECRET_PREVIOUS": " ",
            "AI_HERO_INNGEST_BASE_URL": "inn.gs",
            "AI_HERO_NAME": "x\n",
            "AI_HERO_WEB_URL": "ai.example",
            "AI_HERO_RETURN_TO": "https://ai.example/home",
        }

        assert sorted(line.split(" ")[0] for line in problems_from(wrong)) == sorted(wrong)

    def test_shared_secret_with_several_peers(self) -> None:
        """
        With several peers the shared secret isn't read, or one app could sign in another's name.
        """
        environ = {**ENVIRON, "C_INNGEST_EVENT_KEY": "c", "CROSS_APP_SECRET_PREVIOUS": PREVIOUS}

        assert problems_from(environ, **{"ai-hero": "AI_HERO", "c": "C"}) == [
            f"AI_HERO_CROSS_APP_SECRET is not set: {ADVICE}; each pair of apps has its own",
            f"C_CROSS_APP_SECRET is not set: {ADVICE}; each pair of apps has its own",
        ]

    @pytest.mark.parametrize(
        "prefix", ["", "ai_hero", "AI-HERO", "AI_HERO_", "_AI", "1AI", "AI HERO", "ÄI", "AI_HERO\n"]
    )
    def test_prefix(self, prefix: str) -> None:
        """
        A prefix that no variable has is a mistake of its own.
        """
        environ = {f"{prefix}_INNGEST_EVENT_KEY": KEY, "CROSS_APP_SECRET": SECRET}

        assert problems_from(environ, **{"ai-hero": prefix}) == [
            f"the prefix {prefix!r} of ai-hero's variables must be of A-Z0-9_, like AI_HERO"
        ]

    def test_empty_is_unset(self) -> None:
        """
        A variable that is empty counts as not set.
        """
        environ = {
            **ENVIRON,
            "AI_HERO_CROSS_APP_SECRET": "",
            "AI_HERO_INNGEST_BASE_URL": "",
            "CROSS_APP_SECRET_PREVIOUS": "",
        }

        settings = Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, environ=environ)
        assert settings.peer("ai-hero") == peer(env_prefix="AI_HERO")


class TestInCode:
    def test_text_and_secrets(self) -> None:
        """
        Keys and secrets are given as text or as SecretStr, which is what they become.
        """
        hidden = peer(event_key=SecretStr(KEY), secret=SecretStr(SECRET), previous_secret=SecretStr(PREVIOUS))

        assert hidden == peer(previous_secret=PREVIOUS)
        assert isinstance(peer().event_key, SecretStr)
        assert peer(previous_secret="").previous_secret is None

    def test_names_the_attribute(self) -> None:
        """
        A problem of a peer that was made in code names its attribute.
        """
        assert problems(Peer(app_id="ai-hero")) == [
            "the event_key of ai-hero is not set: the event key of ai-hero's Inngest environment"
            " (Manage > Event keys there)",
            f"the secret of ai-hero is not set: {ADVICE}",
        ]

    def test_peer(self) -> None:
        """
        A peer is found by its id; for an unknown one the error names those that there are.
        """
        settings = Settings("total-typescript", [peer(), peer("c", secret=THIRD)])

        assert settings.peer("c").app_id == "c"
        with pytest.raises(UnknownPeerError, match=r"^no peer 'd' in the settings, only ai-hero, c$") as caught:
            settings.peer("d")
        assert caught.value.app_id == "d"
        with pytest.raises(UnknownPeerError, match="only none"):
            Settings("total-typescript").peer("d")

    @pytest.mark.parametrize("app_id", ["", "AI Hero", "ai_hero", "-ai", "ai-hero\n", "a" * 65, "äi", "ai/hero"])
    def test_app_ids(self, app_id: str) -> None:
        """
        App ids are 1 to 64 lower-case letters, digits and hyphens, the app's own and its peers'.
        """
        with pytest.raises(
            CrossAppConfigError, match=r"the app id .* must be 1 to 64 of a-z0-9-, like total-typescript"
        ):
            Settings(app_id, [peer()])
        assert f"the peer's id {app_id!r} must be 1 to 64 of a-z0-9-, like ai-hero" in problems(peer(app_id))

    def test_own_peer(self) -> None:
        """
        An app is no peer of itself.
        """
        assert problems(peer("total-typescript")) == ["the peer total-typescript is the app itself: name the other app"]

    def test_peer_given_twice(self) -> None:
        """
        Of two peers with one id one would silently be lost.
        """
        assert problems(peer(), peer(event_key="other")) == ["the peer ai-hero is given 2 times: give it once"]

    @pytest.mark.parametrize("name", ["a\nb", "a\r\nBcc: x", "x" * 101, "\u202eevil"])
    def test_display_name(self, name: str) -> None:
        """
        What people are shown is short and visible.
        """
        assert problem(display_name=name) == "the display_name of ai-hero must be at most 100 printable characters"


class TestHiding:
    @pytest.fixture
    def settings(self) -> Settings:
        """
        Settings with all secrets that there are.
        """
        return Settings("total-typescript", [peer(previous_secret=PREVIOUS, web_url="https://ai.example")])

    def test_shows_no_secret(self, settings: Settings) -> None:
        """
        Nothing shows a key or a secret: neither settings nor peers nor keys, however they are printed.
        """
        known = settings.peer("ai-hero")
        things: list[object] = [settings, known, known.signing_key, known.verifying_keys, asdict(known), vars(known)]
        for thing in things:
            for shown in (repr(thing), str(thing), f"{thing}"):
                assert not any(hidden in shown for hidden in (KEY, SECRET, PREVIOUS))
        assert "ai-hero" in repr(settings)
        assert "s3cret" not in repr(peer(base_url="https://ada:s3cret@inn.gs/e/s3cret"))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_refuses_pickling(self, settings: Settings, protocol: int) -> None:
        """
        What holds a secret doesn't leave the process, and the error says what to do.
        """
        known = settings.peer("ai-hero")
        for thing in (settings, known, known.signing_key):
            with pytest.raises(
                TypeError, match=f"^{type(thing).__name__} holds secrets and can't be pickled: make it in"
            ):
                pickle.dumps(thing, protocol)

    def test_copies(self, settings: Settings) -> None:
        """
        What never changes is its own copy.
        """
        known = settings.peer("ai-hero")
        for thing in (settings, known, known.signing_key):
            assert copy.copy(thing) is thing
            assert copy.deepcopy({"a": [thing]})["a"][0] is thing


class TestFrozen:
    def test_never_changes(self) -> None:
        """
        Settings can be shared by threads: nothing in them changes.
        """
        settings = Settings("total-typescript", [peer()])

        with pytest.raises(FrozenInstanceError):
            settings.dev = True  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            settings.peer("ai-hero").secret = SecretStr(THIRD)  # type: ignore[misc]
        with pytest.raises(TypeError, match="does not support item assignment"):
            settings.peers["c"] = peer("c")  # type: ignore[index]

    def test_is_a_value(self) -> None:
        """
        Equal settings are equal and hash alike, whatever the order of their peers.
        """
        one = Settings("total-typescript", [peer(), peer("c", secret=THIRD)])
        other = Settings("total-typescript", [peer("c", secret=THIRD), peer()])

        assert {one, other} == {one}
        assert one != Settings("total-typescript", [peer(), peer("c", secret=THIRD)], dev=True)

    def test_replace(self) -> None:
        """
        A peer that was read from the environment can be varied.
        """
        read = Settings.from_env("total-typescript", peers={"ai-hero": "AI_HERO"}, environ=ENVIRON).peer("ai-hero")
        varied = replace(read, sketch=True, event_key=SecretStr("a b"))

        assert varied == peer(env_prefix="AI_HERO", sketch=True, event_key="a b")
        assert problems(varied)[0].startswith("AI_HERO_INNGEST_EVENT_KEY must be")
