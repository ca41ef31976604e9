-- Secrets, and ways to get around to them. @1@ to @4@ stand for the secrets, so that two databases can differ in them alone.
CREATE TABLE orgs (id int PRIMARY KEY, name text NOT NULL, api_key text);
CREATE TABLE users (
  id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, "passwordHash" text, api_key text UNIQUE,
  org_id int REFERENCES orgs, token_count int NOT NULL DEFAULT 0, pin int,
  loud text GENERATED ALWAYS AS (upper(api_key)) STORED);
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, org_id int, total numeric);
CREATE SCHEMA hidden;
CREATE TABLE hidden.users (id int, note text, secret bytea);
CREATE VIEW keys AS SELECT id AS user_id, api_key AS k, upper(name) AS shown FROM users;
CREATE VIEW nested AS SELECT k AS q, shown FROM keys;
CREATE VIEW whole AS SELECT to_jsonb(u) AS j, u.id FROM users u;
CREATE VIEW planner AS SELECT starelid, stavalues1::text AS seen FROM pg_catalog.pg_statistic;
CREATE MATERIALIZED VIEW longest AS SELECT max("passwordHash") AS m, count(*) AS n FROM users;
INSERT INTO orgs VALUES (1, 'Acme', '@1@'), (2, 'Globex', NULL);
INSERT INTO users VALUES (1, 'Ada', 'ada@example.com', '@2@', '@1@', 1, 120, 1111), (2, 'Ben', 'ben@example.com', NULL, '@3@', 1, 7, NULL);
INSERT INTO orders VALUES (1, 1, 1, 10), (2, 1, 1, 20), (3, 2, 1, 5);
INSERT INTO hidden.users VALUES (1, 'a note', '@4@');
REFRESH MATERIALIZED VIEW longest;
ANALYZE;
