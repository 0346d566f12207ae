-- A delivery is in one of two indexes of its webhook, that of pending or that of ended ones: thus emit writes one entry
-- less, and an outcome writes its entry when the delivery has its end. Webhooks' ids are unique without their tenant, and
-- columns of one width are compared faster.
create index deliveries_ended on deliveries (webhook_id, id) where state <> 1;
drop index deliveries_by_webhook;
drop index deliveries_pending;
create index deliveries_pending on deliveries (webhook_id, id) where state = 1;
