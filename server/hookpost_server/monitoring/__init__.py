"""The operator's edge: what Prometheus scrapes, what a load balancer asks, and traces where they are wanted."""
