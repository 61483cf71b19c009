"""A real LiveKit agent with small local parts: no model, no cloud. A program of its own.

It runs where `livekit-agents` is installed, which needs an older `livekit` than the SDK, so in
another environment; it imports nothing of ours, and has a folder of its own because Python looks
for modules beside a program first.

It hears loud sound as words, and answers "you said: …" word by word. To "tell me a story" it
answers slowly, for half a minute; to "goodbye" it leaves. The job's metadata says whether it
speaks (`voice`) and how many seconds late it joins (`late_s`).

Usage: LIVEKIT_URL=… LIVEKIT_API_KEY=… LIVEKIT_API_SECRET=… python echo_agent.py NAME
"""

# Its library is not installed where types are checked, and gives no better types to name.
# ruff: noqa: ANN401, INP001
# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

import array
import asyncio
import json
import math
import sys
from typing import Any

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    JobExecutorType,
    cli,
    llm,
    room_io,
    stt,
    tts,
)

RATE = 24_000
LOUD = 1_000
STORY = 300
WORD_S = 0.1
PAUSE_S = 0.3


class WordLLM(llm.LLM):
    """Repeats what was said, one word a chunk."""

    def chat(self, *, chat_ctx: llm.ChatContext, **options: Any) -> llm.LLMStream:
        return WordStream(
            self,
            chat_ctx=chat_ctx,
            tools=options.get("tools") or [],
            conn_options=options.get("conn_options") or APIConnectOptions(),
        )


class WordStream(llm.LLMStream):
    """One answer."""

    async def _run(self) -> None:
        said = next(
            (
                each.text_content or ""
                for each in reversed(self._chat_ctx.items)
                if each.type == "message" and each.role == "user"
            ),
            "nothing",
        )
        slow = said == "tell me a story"
        words = [f"word{n}" for n in range(STORY)] if slow else ["you", "said:", *said.split()]
        for at, word in enumerate(words):
            text = word if at == 0 else f" {word}"
            delta = llm.ChoiceDelta(role="assistant", content=text)
            self._event_ch.send_nowait(llm.ChatChunk(id="chunk", delta=delta))
            await asyncio.sleep(WORD_S if slow else 0.01)


class LoudSTT(stt.STT):
    """Hears "hello", "hello there", "hello there agent" while it is loud, final at silence."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))

    async def _recognize_impl(self, *args: Any, **options: Any) -> stt.SpeechEvent:
        raise NotImplementedError("streams only")

    def stream(self, *, conn_options: APIConnectOptions, **_: Any) -> stt.RecognizeStream:
        return LoudStream(stt=self, conn_options=conn_options, sample_rate=RATE)


class LoudStream(stt.RecognizeStream):
    """What is heard in one session."""

    async def _run(self) -> None:
        heard = silent = 0.0
        told = 0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            if loudness(frame) > LOUD:
                if heard == 0.0:
                    self._tell(stt.SpeechEventType.START_OF_SPEECH)
                heard, silent = heard + frame.duration, 0.0
                words = min(3, 1 + int(heard / 0.2))
                if words > told:
                    told = words
                    self._tell(stt.SpeechEventType.INTERIM_TRANSCRIPT, words)
            elif heard:
                silent += frame.duration
                if silent > PAUSE_S:
                    print(json.dumps({"heard_s": round(heard, 2)}), flush=True)
                    self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT, told)
                    self._tell(stt.SpeechEventType.END_OF_SPEECH)
                    heard = silent = 0.0
                    told = 0

    def _tell(self, kind: stt.SpeechEventType, words: int = 0) -> None:
        text = " ".join(["hello", "there", "agent"][:words])
        said = [stt.SpeechData(language="en", text=text, confidence=1.0)] if words else []
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=said))


def loudness(frame: rtc.AudioFrame) -> float:
    """Root mean square of the samples."""
    samples = array.array("h", bytes(frame.data))
    return math.sqrt(sum(each * each for each in samples) / max(1, len(samples)))


class ToneTTS(tts.TTS):
    """Says everything as a tone of 660 Hz, 0.2 s for each word."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )

    def synthesize(self, text: str, *, conn_options: APIConnectOptions, **_: Any) -> Any:
        return ToneStream(tts=self, input_text=text, conn_options=conn_options)


class ToneStream(tts.ChunkedStream):
    """One text as sound."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="tone", sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        seconds = 0.2 * len(self._input_text.split())
        step = 2 * math.pi * 660 / RATE
        wave = (int(9_000 * math.sin(step * n)) for n in range(int(RATE * seconds)))
        output_emitter.push(array.array("h", wave).tobytes())
        output_emitter.flush()


async def entrypoint(ctx: JobContext) -> None:
    """One job: be with one user until they leave."""
    meta = json.loads(ctx.job.metadata or "{}")
    await asyncio.sleep(meta.get("late_s", 0))
    voice = meta.get("voice", False)
    session = AgentSession(
        llm=WordLLM(),
        stt=LoudSTT() if voice else None,
        tts=ToneTTS() if voice else None,
        vad=None,
        turn_handling={"turn_detection": "stt" if voice else "manual"},
    )

    @session.on("conversation_item_added")
    def on_item(event: Any) -> None:
        item = event.item
        if getattr(item, "role", "") == "user" and item.text_content == "goodbye":
            ctx.shutdown("asked to leave")

    await session.start(
        Agent(instructions="Repeat."),
        room=ctx.room,
        record=False,
        room_options=room_io.RoomOptions(audio_input=voice, audio_output=voice),
    )


def main() -> None:
    """Register and serve until a signal."""
    name = sys.argv[1]
    sys.argv = [sys.argv[0], "start"]
    server = AgentServer(
        host="127.0.0.1",
        port=0,
        num_idle_processes=1,
        load_fnc=lambda *_: 0.0,
        job_executor_type=JobExecutorType.THREAD,
    )
    server.rtc_session(entrypoint, agent_name=name)
    cli.run_app(server)


if __name__ == "__main__":
    main()
