-- What the application asks most, so that pg_stat_statements of a new sandbox is not empty. Run in rounds at build time.
SELECT id, user_id, status, total_yen FROM orders WHERE user_id = 'u-10042' ORDER BY placed_at DESC LIMIT 20;
SELECT o.id, p.status, p.provider_ref FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.user_id = 'u-10107';
SELECT sku, quantity - reserved AS available FROM stock WHERE quantity > reserved ORDER BY sku LIMIT 50;
SELECT category, count(*), avg(price_yen) FROM products GROUP BY category;
SELECT status, count(*) FROM job_runs WHERE job_name = 'settlement' GROUP BY status;
SELECT actor, action, at FROM audit_logs WHERE actor = 'u-10042' ORDER BY at DESC LIMIT 50;
SELECT i.product_id, sum(i.quantity) FROM order_items i JOIN orders o ON o.id = i.order_id WHERE o.status = 'paid' GROUP BY i.product_id ORDER BY 2 DESC LIMIT 10;
SELECT count(*) FROM users WHERE last_login_at > timestamptz '2026-11-04 00:00:00+00'
