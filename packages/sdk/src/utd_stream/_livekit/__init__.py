"""LiveKit's client behind our own words: the only place that imports `livekit`.

`_link` is the connection, `_tracks` what is sent and received, `_streams` incoming text and
bytes, `_translation` turns LiveKit's values into ours.
"""

from utd_stream._livekit._link import open_link as open_link
