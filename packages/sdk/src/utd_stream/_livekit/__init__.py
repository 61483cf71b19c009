"""LiveKit's client behind our own words: the only place that imports `livekit`.

`_link` is the connection, `_tracks` what is sent and received, `_streams` incoming text and
bytes, `_translation` turns LiveKit's values into ours.

LiveKit's client logs as `livekit`. A library does not print, so without handlers of the app's own
nothing of it reaches stderr; any handler on that logger or above it gets all of it as ever.
"""

import logging

from utd_stream._livekit._link import open_link as open_link

logging.getLogger("livekit").addHandler(logging.NullHandler())
