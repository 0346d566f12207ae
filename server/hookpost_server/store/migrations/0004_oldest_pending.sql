-- Finds the oldest delivery of a webhook that is still pending, however many there are.
create index deliveries_pending on deliveries (tenant_id, webhook_id, id) where state = 1;
