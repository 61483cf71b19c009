"""Goal P3: minting a LiveKit join token against the bare hash, and against LiveKit's own library.

The hash is `hmac.digest` over as many bytes as the token's content has. Where the processor has
instructions for SHA-256 the hash is 2.4 times cheaper and all else is not: the goal is lower there.
"""

import hmac
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from livekit.api import AccessToken, VideoGrants
from rounds import Case, Goal, run

from utd_engine.adapters.livekit.tokens import ApiKey, Signer, mint_join
from utd_engine.domain.permissions import Permission
from utd_engine.ports.media import Join
from utd_protocol.types import Source

KEY = ApiKey("devkey", "a-secret-of-at-least-32-characters!")
NOW = datetime.now(UTC)
SPEAKER = Permission(can_publish=True, sources=(Source.MICROPHONE,), can_subscribe=True)
JOIN = Join(room="ap_3kTq.audio_room.rm_3kTq3kTq3kTq", identity="ana", permission=SPEAKER)
CHECK_EVERY = 200


def repeated(work: Callable[[], object]) -> Case:
    """CPU seconds of one call."""

    def case(window_s: float) -> float:
        calls, started, until = 0, time.process_time(), time.perf_counter() + window_s
        while time.perf_counter() < until:
            for _ in range(CHECK_EVERY):
                work()
            calls += CHECK_EVERY
        return (time.process_time() - started) / calls

    return case


def livekit_api() -> str:
    """The same token by `livekit-api`."""
    grants = VideoGrants(
        room_join=True,
        room=JOIN.room,
        can_publish=True,
        can_publish_sources=["microphone"],
        can_publish_data=False,
        can_subscribe=True,
        can_update_own_metadata=False,
    )
    token = AccessToken(KEY.key, KEY.secret).with_identity(JOIN.identity).with_grants(grants)
    return token.with_ttl(timedelta(seconds=600)).to_jwt()


def main() -> int:
    """Run it."""
    signer, secret = Signer(KEY), KEY.secret.encode()
    content = mint_join(JOIN, signer, now=NOW, ttl_s=600).rpartition(".")[0].encode()
    cases = {
        "hmac.digest": repeated(lambda: hmac.digest(secret, content, "sha256")),
        "mint_join": repeated(lambda: mint_join(JOIN, signer, now=NOW, ttl_s=600)),
        "livekit-api": repeated(livekit_api),
    }
    has_sha = "sha_ni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    least = 0.33 if has_sha else 0.55
    goals = [Goal("mint_join", "hmac.digest", least), Goal("mint_join", "livekit-api", None)]
    return run("p3_mint", cases, goals, bytes=len(content), sha_instructions=has_sha)


if __name__ == "__main__":
    sys.exit(main())
