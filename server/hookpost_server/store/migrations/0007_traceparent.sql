-- The trace that an event was emitted in (W3C Trace Context), passed on to its receivers; null for most.
alter table events add column traceparent text collate "C";
