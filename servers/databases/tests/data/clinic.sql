-- A veterinary clinic: what the tests' own attacks and honest queries run on.
CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE, city TEXT, notes TEXT);
CREATE TABLE pets (
  id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES owners (id) ON DELETE CASCADE, name TEXT NOT NULL,
  species TEXT NOT NULL DEFAULT 'dog' CHECK (species IN ('dog', 'cat', 'parrot')), born TEXT,
  chip INTEGER, weight REAL, photo BLOB, label TEXT GENERATED ALWAYS AS (name || ' (' || species || ')') VIRTUAL);
CREATE INDEX pets_owner_idx ON pets (owner_id);
CREATE UNIQUE INDEX pets_chip_idx ON pets (chip) WHERE chip IS NOT NULL;
CREATE TABLE visits (id INTEGER PRIMARY KEY, pet_id INTEGER NOT NULL REFERENCES pets, vet TEXT, reason TEXT, cost NUMERIC, at TEXT NOT NULL);
CREATE TABLE prices (code TEXT, since TEXT, amount NUMERIC, PRIMARY KEY (code, since)) WITHOUT ROWID;
CREATE TABLE "order" ("select" INTEGER, "from" TEXT, "a b" TEXT, "it's" TEXT);
CREATE TABLE credentials (login TEXT, token TEXT);
CREATE TABLE empty_one (x);
CREATE VIRTUAL TABLE letters USING fts5 (subject, body);
CREATE VIRTUAL TABLE places USING rtree (id, west, east);
CREATE VIEW spending AS SELECT o.id, o.name, sum(v.cost) AS total FROM owners o JOIN pets p ON p.owner_id = o.id JOIN visits v ON v.pet_id = p.id GROUP BY o.id;
CREATE VIEW words AS SELECT l.subject, j.value AS word FROM letters l, json_each('["a", "b"]') j;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO owners SELECT i, 'Owner ' || i, 'o' || i || '@example.com', substr('RomeOsloBonn', 1 + 4 * (i % 3), 4), json_object('since', 2000 + i % 20, 'tags', json_array('x', 'y')) FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)
INSERT INTO pets (id, owner_id, name, species, born, chip, weight, photo)
SELECT i, 1 + i % 60, 'Pet ' || i, CASE i % 3 WHEN 0 THEN 'dog' WHEN 1 THEN 'cat' ELSE 'parrot' END, date('2020-01-01', '+' || i || ' days'), 9007199254740992 + i, i * 0.5, zeroblob(i) FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
INSERT INTO visits SELECT i, 1 + i % 120, 'Dr ' || substr('ABC', 1 + i % 3, 1), CASE WHEN i % 5 THEN 'check' END, i % 97 + 0.25, datetime('2026-01-01', '+' || i || ' hours') FROM n;
INSERT INTO prices VALUES ('check', '2025-01-01', 40), ('check', '2026-01-01', 45), ('chip', '2025-01-01', 30);
INSERT INTO "order" VALUES (1, 'here', 'c d', 'quote'), (2, '', NULL, 'NULL');
INSERT INTO credentials VALUES ('ada', 'tok-one'), ('ben', 'tok-two');
INSERT INTO letters VALUES ('welcome', 'how to book a visit'), ('drop', 'please drop the table reservation at noon');
INSERT INTO places VALUES (1, 0, 5), (2, 3, 9);
PRAGMA user_version = 7;
PRAGMA application_id = 41;
