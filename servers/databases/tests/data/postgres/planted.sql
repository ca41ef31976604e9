-- A shop with something wrong of every kind that database_health looks for. What a session has changed is counted when it ends,
-- so what is to be counted before is done in a session of its own.
CREATE EXTENSION pg_stat_statements;
CREATE TABLE customers (id serial PRIMARY KEY, email text UNIQUE);
CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id int REFERENCES customers, day date, note text) WITH (autovacuum_enabled = off);
INSERT INTO customers (email) SELECT 'c' || i FROM generate_series(1, 500) i;
INSERT INTO orders (customer_id, day, note) SELECT 1 + i % 500, date '2026-01-01' + i % 300, 'note ' || i FROM generate_series(1, 50000) i;
CREATE INDEX orders_day_1 ON orders (day, note);
CREATE INDEX orders_day_2 ON orders (day, note);
CREATE INDEX orders_day_only ON orders (day);
CREATE INDEX customers_email ON customers (email);
CREATE INDEX orders_expression_1 ON orders (lower(note));
CREATE INDEX orders_expression_2 ON orders ( lower( note ) );
CREATE INDEX orders_other_expression ON orders (upper(note));
CREATE INDEX orders_descending ON orders (day DESC, note);
CREATE INDEX orders_partial ON orders (day, note) WHERE note LIKE 'x%';
CREATE INDEX orders_broken ON orders (customer_id, day) WHERE day > '2026-06-01';
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_broken'::regclass;
CREATE TABLE "Odd ""names""" (id int GENERATED ALWAYS AS IDENTITY (START WITH 2000000000) PRIMARY KEY);
INSERT INTO "Odd ""names""" DEFAULT VALUES;
CREATE TABLE narrow (id int DEFAULT nextval('orders_id_seq'));
CREATE SEQUENCE downwards INCREMENT -1 MINVALUE -100 MAXVALUE -1 START -95;
SELECT nextval('downwards');
CREATE TABLE bloated (id int PRIMARY KEY, filling text) WITH (autovacuum_enabled = off);
INSERT INTO bloated SELECT i, repeat('x', 400) FROM generate_series(1, 60000) i;
DELETE FROM bloated WHERE id < 58000;
CREATE TABLE events (id bigint, customer_id int REFERENCES customers, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO events SELECT i, 1 + i % 500, date '2026-01-01' + i % 50 FROM generate_series(1, 40000) i;
\connect -
ANALYZE events;
VACUUM (ANALYZE) bloated;
ANALYZE orders;
ANALYZE customers;
UPDATE orders SET note = note || '.' WHERE id <= 20000;
CREATE TABLE unanalyzed (a int, b int) WITH (autovacuum_enabled = off);
INSERT INTO unanalyzed SELECT i, i FROM generate_series(1, 12000) i;
DO $$ BEGIN
  FOR i IN 1..120 LOOP PERFORM count(*) FROM orders WHERE length(note) = i; END LOOP;
  FOR i IN 1..1000 LOOP PERFORM 1 FROM orders WHERE id = i; END LOOP;
END $$;
GRANT SELECT ON customers TO reader;
