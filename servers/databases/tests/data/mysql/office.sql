-- An office whose data is changed: keys, triggers, partitions, and what a change must not reach.
SET NAMES utf8mb4;
CREATE TABLE people (
  id INT PRIMARY KEY, name VARCHAR(40) NOT NULL CHECK (name <> ''), email VARCHAR(40) UNIQUE, api_key VARCHAR(40), team INT,
  UNIQUE KEY one_key_a_team (api_key, team));
CREATE TABLE notes (
  id INT AUTO_INCREMENT PRIMARY KEY, person_id INT NOT NULL, body TEXT,
  FOREIGN KEY (person_id) REFERENCES people (id) ON DELETE CASCADE);
CREATE TABLE marks (id INT PRIMARY KEY, note_id INT, FOREIGN KEY (note_id) REFERENCES notes (id) ON DELETE SET NULL);
CREATE TABLE prices (code VARCHAR(20) PRIMARY KEY, cents INT, `Größe` DECIMAL(8,2) DEFAULT 1.50, doc JSON);
CREATE TABLE log (person_id INT, was VARCHAR(40));
CREATE TABLE months (id INT, month DATE NOT NULL, total DECIMAL(8,2)) PARTITION BY RANGE (YEAR(month))
  (PARTITION early VALUES LESS THAN (2026), PARTITION late VALUES LESS THAN MAXVALUE);
CREATE TABLE big (id INT PRIMARY KEY, raw LONGBLOB, words LONGTEXT);
CREATE TABLE old_log (id INT AUTO_INCREMENT PRIMARY KEY, body TEXT) ENGINE=MyISAM;
CREATE TABLE aria_log (id INT) ENGINE=Aria;
CREATE TABLE memory_log (id INT) ENGINE=MEMORY;
CREATE TABLE logged (id INT PRIMARY KEY);
CREATE TABLE deeply_logged (id INT PRIMARY KEY);
CREATE TABLE hidden_logged (id INT PRIMARY KEY);
CREATE SEQUENCE counter;
CREATE VIEW cheap AS SELECT code, cents FROM prices WHERE cents < 200;
CREATE VIEW named AS SELECT id, name FROM people;
CREATE VIEW old_named AS SELECT id, body FROM old_log;
CREATE VIEW accounts AS SELECT User, Password FROM mysql.user;
INSERT INTO people VALUES (1, 'Ada', 'ada@example.com', 'key-1', 1), (2, 'Ben', NULL, NULL, 1), (3, 'Cat', NULL, 'key-1', 3);
INSERT INTO notes (person_id, body) VALUES (1, 'one'), (1, 'two'), (3, 'three');
INSERT INTO marks VALUES (1, 1), (2, 3);
INSERT INTO prices (code, cents) VALUES ('a', 100), ('b', 250);
INSERT INTO months VALUES (1, '2025-05-05', 1), (2, '2026-06-06', 2);
INSERT INTO big VALUES (1, REPEAT('x', 2000000), REPEAT('y', 3000000));
DELIMITER //
CREATE TRIGGER renamed AFTER UPDATE ON people FOR EACH ROW
BEGIN IF NEW.name <> BINARY OLD.name THEN INSERT INTO log VALUES (OLD.id, OLD.name); END IF; END//
CREATE PROCEDURE note_deeply() BEGIN INSERT INTO old_log (body) VALUES ('deep'); END//
CREATE PROCEDURE note_hidden() BEGIN SET @t = 1; CALL office_tools.note_far(); END//
CREATE TRIGGER logged_too AFTER INSERT ON logged FOR EACH ROW INSERT INTO old_log (body) VALUES ('x')//
CREATE TRIGGER deeply_logged_too AFTER INSERT ON deeply_logged FOR EACH ROW CALL note_deeply()//
CREATE TRIGGER hidden_logged_too AFTER INSERT ON hidden_logged FOR EACH ROW CALL note_hidden()//
CREATE FUNCTION slug(t TEXT) RETURNS TEXT DETERMINISTIC RETURN LOWER(REPLACE(t, ' ', '-'))//
CREATE FUNCTION fire(who INT) RETURNS INT BEGIN DELETE FROM people WHERE id = who; RETURN who; END//
CREATE FUNCTION fire_quietly(who INT) RETURNS INT READS SQL DATA RETURN fire(who)//
CREATE FUNCTION note_old(t TEXT) RETURNS INT BEGIN INSERT INTO old_log (body) VALUES (t); RETURN 1; END//
DELIMITER ;
