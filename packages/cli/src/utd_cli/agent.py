"""`utd agent`: talk with any AI agent from a terminal, through an engine or any LiveKit."""

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import click
from rich.console import Console

from utd_cli._agent_talk import Talk
from utd_cli._livekit_token import LiveKitKey, mint_for_agent
from utd_cli._reach import state_option
from utd_cli._state import RunningStack, read_running
from utd_cli._typed_lines import Lines
from utd_cli.serve import fast_loop
from utd_stream import (
    AudioInput,
    Microphone,
    Speakers,
    UTDStreamClient,
    UTDStreamException,
    WavFile,
)
from utd_stream.agents import (
    EndpointTokenSource,
    LiteralTokenSource,
    Session,
    SessionOptions,
    TokenRequestOptions,
)

ANSWER_WITHIN_S: Final = 60.0


class Wish(NamedTuple):
    """What was asked for on the command line."""

    name: str
    metadata: str | None
    identity: str
    options: SessionOptions
    aloud: bool


class Livekit(NamedTuple):
    """A plain LiveKit and the key that makes tokens for it."""

    url: str
    key: LiveKitKey


class Endpoint(NamedTuple):
    """Somebody's token endpoint."""

    url: str
    headers: dict[str, str]


Place: TypeAlias = RunningStack | Livekit | Endpoint


@click.group()
def agent() -> None:
    """Talk with AI agents."""


@agent.command()
@click.option("--name", required=True, help="The agent, as its worker is registered.")
@click.option("--metadata", help="Text for the agent, which it gets as its job's metadata.")
@click.option("--identity", default="", help="Who you are; a new name by default.")
@click.option("--voice", is_flag=True, help="Speak by microphone, and hear the agent.")
@click.option(
    "--wav",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Speak by a WAV file in place of a microphone.",
)
@click.option(
    "--url",
    help="A plain LiveKit, ws://… or wss://…; its key in LIVEKIT_API_KEY and LIVEKIT_API_SECRET.",
)
@click.option("--token-endpoint", help="A token endpoint of LiveKit's kind, http://… or https://….")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="Sent to the token endpoint; may be given several times.",
)
@state_option
def chat(  # noqa: PLR0913 one for each option
    *,
    name: str,
    metadata: str | None,
    identity: str,
    voice: bool,
    wav: Path | None,
    url: str | None,
    token_endpoint: str | None,
    headers: tuple[str, ...],
    state: Path,
) -> None:
    """Chat with an agent: what you type is sent, what it says appears as it comes.

    Without an address the stack of `utd dev` is used. The end of the input ends the chat.
    """
    if voice and wav is not None:
        raise click.UsageError("--voice and --wav are two microphones: give one of them.")
    place = _place(url, token_endpoint, headers, state)
    logging.getLogger("utd_stream").setLevel(logging.ERROR)  # what fails is told here, once
    microphone: AudioInput | None = WavFile(wav) if wav is not None else None
    options = SessionOptions(microphone=Microphone() if voice else microphone)
    wish = Wish(name, metadata, identity or f"user_{secrets.token_hex(3)}", options, aloud=voice)
    try:
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(_chat(place, wish))
    except UTDStreamException as failure:
        raise click.ClickException(str(failure)) from failure
    except KeyboardInterrupt:
        raise click.Abort from None


def _place(url: str | None, endpoint: str | None, headers: tuple[str, ...], state: Path) -> Place:
    """The one place that was named; without a name the stack of the state folder."""
    if url and endpoint:
        raise click.UsageError("--url and --token-endpoint are two places: give one of them.")
    if headers and not endpoint:
        raise click.UsageError("--header is for --token-endpoint.")
    if endpoint:
        return Endpoint(endpoint, _headers(headers))
    if url:
        key, secret = os.environ.get("LIVEKIT_API_KEY"), os.environ.get("LIVEKIT_API_SECRET")
        if not key or not secret:
            raise click.UsageError("--url needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET.")
        return Livekit(url, LiveKitKey(key, secret))
    running = read_running(state)
    if running is None:
        raise click.UsageError(
            f"No stack runs on {state}. Start one with `utd dev`, or name a place with --url or "
            "--token-endpoint."
        )
    return running


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in given:
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{each!r} is not NAME:VALUE.", param_hint="--header")
        headers[name.strip()] = value.strip()
    return headers


async def _chat(place: Place, wish: Wish) -> None:
    """Connect, wait for the agent, and carry words both ways until the input ends."""
    async with _session(place, wish) as session:
        talk = Talk(session, Console(highlight=False))
        talk.state("waiting for the agent")
        await session.wait_agent()
        parts = [_say_all(session, talk, wish), talk.show(), talk.watch()]
        if wish.aloud:
            parts.append(_play(session))
        try:
            await _first(parts)
        finally:
            talk.end_line()


async def _first(parts: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all until one is done or fails."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _say_all(session: Session, talk: Talk, wish: Wish) -> None:
    """Send every line. From a file or pipe each waits for the answer to the one before."""
    typed, sent = sys.stdin.isatty(), 0
    async for line in Lines():
        if not line.strip():
            continue
        sent += 1
        answered = talk.answers
        if await session.send_text(line) is None and session.error is not None:
            raise session.error
        if not typed:
            await talk.wait_answer(answered, ANSWER_WITHIN_S)
    if isinstance(wish.options.microphone, WavFile):  # one more answer: to what the file says
        await talk.wait_answer(sent, ANSWER_WITHIN_S)


async def _play(session: Session) -> None:
    async with aclosing(session.audio()) as frames:
        await Speakers().play(frames)


@asynccontextmanager
async def _session(place: Place, wish: Wish) -> AsyncGenerator[Session]:
    """A started session at that place."""
    if isinstance(place, RunningStack):
        async with (
            UTDStreamClient(
                app_id=place.app_id, app_key=place.app_key, base_url=place.base_url
            ) as client,
            client.agent_session(
                agent_name=wish.name,
                identity=wish.identity,
                agent_metadata=wish.metadata,
                options=wish.options,
            ) as session,
        ):
            yield session
        return
    async with _plain_session(place, wish) as session:
        yield session


def _plain_session(place: Livekit | Endpoint, wish: Wish) -> Session:
    if isinstance(place, Endpoint):
        return Session.from_configurable_token_source(
            EndpointTokenSource(place.url, headers=place.headers),
            token_options=TokenRequestOptions(
                participant_identity=wish.identity,
                agent_name=wish.name,
                agent_metadata=wish.metadata,
            ),
            options=wish.options,
        )
    token = mint_for_agent(
        place.key,
        room=f"utd-chat-{secrets.token_hex(6)}",
        identity=wish.identity,
        agent=wish.name,
        metadata=wish.metadata or "",
    )
    source = LiteralTokenSource(place.url, token)
    return Session.from_fixed_token_source(source, options=wish.options)
