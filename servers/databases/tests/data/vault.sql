-- Secrets, and every way to get around to them. @1@ to @9@ stand for the secrets, so that two files can differ in them alone.
CREATE TABLE orgs (id INTEGER PRIMARY KEY, name TEXT NOT NULL, api_key TEXT);
CREATE TABLE users (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, password_hash TEXT, api_key TEXT UNIQUE,
  org_id INTEGER REFERENCES orgs (id), token_count INTEGER NOT NULL DEFAULT 0, password_changed_at TEXT);
CREATE INDEX users_password_idx ON users (password_hash);
CREATE TABLE cards (card_number INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id), cvv TEXT, brand TEXT);
CREATE TABLE vault (
  id INTEGER PRIMARY KEY, label TEXT, secret BLOB,
  loud TEXT GENERATED ALWAYS AS (upper(secret)) VIRTUAL, heading TEXT GENERATED ALWAYS AS (upper(label)) STORED);
CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), org_id INTEGER, total NUMERIC);
CREATE TABLE single_token (token TEXT);
CREATE VIRTUAL TABLE logins USING fts5 (login, token);
CREATE VIRTUAL TABLE login_words USING fts5vocab (logins, 'row');
CREATE VIRTUAL TABLE old_logins USING fts4 (login, token);
CREATE VIRTUAL TABLE letters USING fts5 (subject, body);
CREATE VIEW keys AS SELECT id AS user_id, api_key AS k, upper(name) AS shown FROM users;
CREATE VIEW nested AS SELECT k AS q, shown FROM keys;
CREATE VIEW everything AS SELECT * FROM users;
CREATE VIEW renamed (a, b) AS SELECT id, api_key FROM users;
CREATE VIEW longest AS SELECT max(password_hash) AS m, count(*) AS n FROM users;
CREATE VIEW shouted AS SELECT id, substr(api_key, 1, 4) || '…' AS hint FROM users;
CREATE VIEW gathered AS WITH u AS (SELECT api_key AS x FROM users) SELECT group_concat(x) AS xs FROM u;
CREATE VIEW names AS SELECT id, name FROM users;
CREATE VIEW has_key AS SELECT id, api_key IS NOT NULL AS has FROM users;
INSERT INTO orgs VALUES (1, 'Acme', '@1@'), (2, 'Globex', NULL);
INSERT INTO users VALUES
  (1, 'Ada', 'ada@example.com', '@2@', '@1@', 1, 120, '2026-01-01'),
  (2, 'Ben', 'ben@example.com', '@3@', '@4@', 1, 7, NULL),
  (3, 'Cat', 'cat@example.com', NULL, NULL, 2, 0, NULL);
INSERT INTO cards VALUES (@5@, 1, '@6@', 'visa'), (@7@, 2, NULL, 'visa');
INSERT INTO vault (id, label, secret) VALUES (1, 'first', '@8@'), (2, 'second', NULL);
INSERT INTO orders VALUES (1, 1, 1, 10), (2, 1, 1, 20), (3, 2, 1, 5), (4, 3, 2, 7);
INSERT INTO single_token VALUES ('@9@');
INSERT INTO logins VALUES ('ada', '@2@'), ('ben', '@3@');
INSERT INTO old_logins VALUES ('ada', '@2@'), ('ben', '@3@');
INSERT INTO letters VALUES ('welcome', 'how to book');
ANALYZE;
