CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(60) UNIQUE, KEY customers_email (email));
CREATE TABLE orders (
  id INT AUTO_INCREMENT PRIMARY KEY, customer_id INT, day DATE, note VARCHAR(60),
  KEY day_1 (day, note), KEY day_2 (day, note), KEY day_only (day), KEY note_start (note(8)), KEY note_all (note), KEY id_day (id, day),
  FOREIGN KEY (customer_id) REFERENCES customers (id));
INSERT INTO customers (email) SELECT CONCAT('c', seq) FROM seq_1_to_500;
INSERT INTO orders (customer_id, day, note) SELECT 1 + seq % 500, '2026-01-01' + INTERVAL seq % 300 DAY, CONCAT('note ', seq) FROM seq_1_to_50000;
CREATE TABLE letters (id INT PRIMARY KEY, body VARCHAR(60));
INSERT INTO letters SELECT seq, CONCAT('dear ', seq) FROM seq_1_to_20000;
CREATE TABLE `odd ``names``` (id TINYINT UNSIGNED AUTO_INCREMENT PRIMARY KEY);
INSERT INTO `odd ``names``` VALUES (240);
CREATE TABLE wide (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY);
INSERT INTO wide VALUES (9223372036854775807);
CREATE SEQUENCE numbers MINVALUE 1 MAXVALUE 1000 NOCACHE;
SELECT SETVAL(numbers, 800);
CREATE SEQUENCE around MINVALUE 1 MAXVALUE 10 CYCLE;
CREATE TABLE bloated (id INT PRIMARY KEY, filling VARCHAR(1000));
INSERT INTO bloated SELECT seq, REPEAT('x', 900) FROM seq_1_to_40000;
DELETE FROM bloated WHERE id > 2000;
ANALYZE TABLE customers, orders, letters, bloated;
SELECT COUNT(note) FROM orders WHERE id BETWEEN 1 AND 5000;
