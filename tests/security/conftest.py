"""Senders of each kind, receivers, databases: the fixtures of the tests beside."""

from tests.delivery.conftest import (  # noqa: F401
    authority,
    database,
    deliveries,
    events,
    make_sender,
    open_database,
    other_sql,
    proxy,
    sender,
    shared_database_url,
    sql,
    suspensions,
    trusting,
    webhooks,
)
