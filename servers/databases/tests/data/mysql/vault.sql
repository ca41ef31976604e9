-- Secrets, and ways to get around to them. @1@ to @3@ stand for the secrets, so that two databases can differ in them alone.
CREATE TABLE orgs (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, api_key VARCHAR(50));
CREATE TABLE users (
  id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, email VARCHAR(50), password_hash VARCHAR(50), api_key VARCHAR(50) UNIQUE,
  org_id INT, token_count INT NOT NULL DEFAULT 0, loud VARCHAR(60) AS (UPPER(api_key)) STORED, FULLTEXT (password_hash));
CREATE TABLE orders (id INT PRIMARY KEY, user_id INT NOT NULL, org_id INT, total DECIMAL(8, 2));
CREATE VIEW key_list AS SELECT id AS user_id, api_key AS k, UPPER(name) AS shown FROM users;
CREATE VIEW nested AS SELECT k AS q, shown FROM key_list;
CREATE VIEW longest AS SELECT MAX(password_hash) AS m, COUNT(*) AS n FROM users;
INSERT INTO orgs VALUES (1, 'Acme', '@1@'), (2, 'Globex', NULL);
INSERT INTO users (id, name, email, password_hash, api_key, org_id, token_count) VALUES
  (1, 'Ada', 'ada@example.com', '@2@', '@1@', 1, 120), (2, 'Ben', 'ben@example.com', NULL, '@3@', 1, 7);
INSERT INTO orders VALUES (1, 1, 1, 10), (2, 1, 1, 20), (3, 2, 1, 5);
