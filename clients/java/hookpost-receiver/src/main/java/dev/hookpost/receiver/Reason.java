package dev.hookpost.receiver;

import java.util.Locale;

/** Why a request is not taken; the same words in every language, here in capitals. */
public enum Reason {
  /** A header of the scheme is not there. */
  MISSING_HEADER(401),
  /** webhook-timestamp is not a number of seconds. */
  BAD_TIMESTAMP(401),
  /** Sent longer ago than the tolerance. */
  TOO_OLD(401),
  /** Sent later than now and the tolerance. */
  TOO_NEW(401),
  /** No key made any of the signatures. */
  BAD_SIGNATURE(401),
  /** Signed, but no JSON object. */
  MALFORMED(400),
  /** What was verified are not the bytes that came. */
  BODY_PARSED(500),
  /** None was given, or one that can't be used. */
  NO_KEY(500),
  /** The body is over the limit. */
  TOO_LARGE(413);

  private final int status;

  Reason(int status) {
    this.status = status;
  }

  /** What to answer with: 500 where the receiver is at fault, so that Hookpost tries again. */
  public int status() {
    return status;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
