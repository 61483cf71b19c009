"""LiveKit's standard token endpoint: any LiveKit client SDK may point at it.

It takes and gives what `TokenSource.endpoint` sends and expects. Clients print the bodies of
refusals, so no secret is ever in one.
"""

from typing import Final

import msgspec

from utd_engine.app.admission import Person
from utd_engine.domain.refusal import Refused
from utd_engine.http.call import Call
from utd_engine.http.handlers import Services
from utd_protocol.answers import AgentTokenAnswer, AgentTokenRequest, SessionRequest

_request: Final = msgspec.json.Decoder(AgentTokenRequest)


async def token(services: Services, call: Call) -> AgentTokenAnswer:
    """A room with an agent, in the words of LiveKit's token endpoints."""
    wish = call.parse(_request)
    person = _person(services, call, wish)
    services.mints.take(f"{call.app.app_id}:{person.identity}")
    return await services.agents.open(call.app, person, wish)


def _person(services: Services, call: Call, wish: AgentTokenRequest) -> Person:
    claims = call.claims
    if claims is not None:
        if wish.participant_identity not in {"", claims.sub}:
            raise Refused(
                "not_allowed",
                "The bearer is of somebody else.",
                hint="Leave 'participant_identity' out.",
            )
        name = wish.participant_name or claims.name
        return Person(claims.sub, claims.device, name, unproven=claims.unproven)
    token = call.identity_token
    identity = wish.participant_identity
    if not identity and token is not None:
        identity = services.entrance.subject(call.app, token)
    session = SessionRequest(
        identity=identity or services.agents.new_identity(),
        name=wish.participant_name or None,
        identity_token=token,
    )
    return services.entrance.person(call.app, call.actor, session)
