package dev.hookpost.receiver;

/** A way of signing; Hookpost signs every request in both. */
public enum Scheme {
  /** Standard Webhooks 1.0: webhook-id, webhook-timestamp, webhook-signature; covers id, time and body. */
  STANDARD,
  /** HMAC-SHA256 of the body alone, as Logto sends: an old request can be sent again by whoever saw it. */
  HEX
}
