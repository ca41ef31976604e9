-- A shop in good order.
CREATE TABLE customers (id bigserial PRIMARY KEY, email text UNIQUE);
CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id bigint REFERENCES customers, day date, note text, parts int[]);
CREATE INDEX orders_customer ON orders (customer_id, day);
CREATE INDEX orders_day ON orders (day);
CREATE INDEX orders_open ON orders (day) WHERE note IS NULL;
INSERT INTO customers (email) SELECT 'c' || i FROM generate_series(1, 500) i;
INSERT INTO orders (customer_id, day, note) SELECT 1 + i % 500, date '2026-01-01' + i % 300, 'note ' || i FROM generate_series(1, 50000) i;
CREATE TABLE events (id bigint, customer_id bigint REFERENCES customers, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE INDEX events_customer ON events (customer_id);
INSERT INTO events SELECT i, 1 + i % 500, date '2026-01-01' + i % 50 FROM generate_series(1, 40000) i;
\connect -
ANALYZE;
DO $$ BEGIN FOR i IN 1..1000 LOOP PERFORM 1 FROM orders WHERE day = date '2026-01-01' + i; END LOOP; END $$;
DO $$ BEGIN FOR i IN 1..1000 LOOP PERFORM 1 FROM orders WHERE customer_id = i; END LOOP; END $$;
