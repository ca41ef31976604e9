CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, email VARCHAR(60) UNIQUE);
CREATE TABLE orders (
  id INT AUTO_INCREMENT PRIMARY KEY, customer_id INT, day DATE, note VARCHAR(60), KEY of_customer (customer_id, day), KEY of_day (day),
  FOREIGN KEY (customer_id) REFERENCES customers (id));
INSERT INTO customers (email) SELECT CONCAT('c', seq) FROM seq_1_to_500;
INSERT INTO orders (customer_id, day, note) SELECT 1 + seq % 500, '2026-01-01' + INTERVAL seq % 300 DAY, CONCAT('note ', seq) FROM seq_1_to_50000;
CREATE SEQUENCE numbers;
SELECT NEXTVAL(numbers);
ANALYZE TABLE customers, orders;
SELECT COUNT(note) FROM orders WHERE id BETWEEN 1 AND 5000;
SELECT COUNT(note) FROM orders WHERE day = '2026-01-02';
