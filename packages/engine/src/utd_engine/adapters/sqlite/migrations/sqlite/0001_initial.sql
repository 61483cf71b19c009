-- Times are integer milliseconds since 1970, UTC.

-- One row: the number of the last transaction that was given one. It tells after an error at COMMIT
-- whether the group is in, and writing it proves that the disk takes writes.
CREATE TABLE writer (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    last_append INTEGER NOT NULL
);
INSERT INTO writer (one, last_append) VALUES (1, 0);

-- Rooms, calls and inboxes. An inbox has no snapshot, is never open and never trimmed: its seq must
-- not begin again.
CREATE TABLE aggregates (
    row INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('room', 'call', 'inbox')),
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    wake_at INTEGER,
    touched_at INTEGER,
    append_id INTEGER NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (app, kind, id)
);
CREATE INDEX aggregates_due ON aggregates (wake_at, id) WHERE open = 1 AND wake_at IS NOT NULL;
CREATE INDEX aggregates_open ON aggregates (id, app) WHERE open = 1;
CREATE INDEX aggregates_open_of_app ON aggregates (app, id) WHERE open = 1;
CREATE INDEX aggregates_closed ON aggregates (touched_at) WHERE open = 0 AND kind <> 'inbox';

-- Names that belong to one open aggregate of an app.
CREATE TABLE names (
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (app, name),
    FOREIGN KEY (app, kind, id) REFERENCES aggregates (app, kind, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX names_of ON names (app, kind, id, name);

-- All logs in one order. AUTOINCREMENT: a pos is not used again, not even after everything was trimmed.
CREATE TABLE events (
    pos INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    append_id INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (app, kind, id, seq)
);
CREATE INDEX events_log ON events (app, pos) WHERE kind <> 'inbox';
CREATE INDEX events_at ON events (at);

CREATE TABLE answers (
    row INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    key TEXT NOT NULL CHECK (length(key) <= 255),
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (app, key)
);
CREATE INDEX answers_expired ON answers (expires_at);

-- What a user may look up after its room is gone.
CREATE TABLE history (
    row INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    identity TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (app, identity, id)
);
CREATE INDEX history_of ON history (app, identity, at DESC, id DESC);
CREATE INDEX history_at ON history (at);

CREATE TABLE presence (
    app TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    identity TEXT NOT NULL,
    sid TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (app, kind, id, identity)
) WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    room TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    request_id TEXT NOT NULL
);
CREATE INDEX audit_of_app ON audit (app, id);
CREATE INDEX audit_of_room ON audit (app, room, id);

-- An empty place is the whole app.
CREATE TABLE bans (
    app TEXT NOT NULL,
    place TEXT NOT NULL,
    identity TEXT NOT NULL,
    scope TEXT NOT NULL,
    banned_by TEXT,
    at INTEGER NOT NULL,
    until INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (app, identity, place)
) WITHOUT ROWID;
CREATE INDEX bans_at ON bans (app, place);

CREATE TABLE apps (
    app_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('development', 'production')),
    settings BLOB NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE keys (
    digest BLOB PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (app_id),
    kind TEXT NOT NULL CHECK (kind IN ('publishable', 'secret')),
    prefix TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX keys_of ON keys (app_id, created_at, prefix);
