package dev.hookpost.receiver;

/** The request must not be trusted. The message may be logged, it holds nothing secret. */
public final class InvalidWebhookException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final Reason reason;

  InvalidWebhookException(Reason reason, String message) {
    super(reason + ": " + message);
    this.reason = reason;
  }

  /** Why. */
  public Reason reason() {
    return reason;
  }

  static InvalidWebhookException parsed(String why) {
    return new InvalidWebhookException(
        Reason.BODY_PARSED,
        "the body was parsed before verification (" + why + "); give the bytes of the request as they came");
  }

  static InvalidWebhookException tooLarge(int most) {
    return new InvalidWebhookException(Reason.TOO_LARGE, "the body has more than " + most + " bytes");
  }
}
