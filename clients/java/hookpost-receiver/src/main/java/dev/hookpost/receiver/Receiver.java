package dev.hookpost.receiver;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Verifies what Hookpost sends. Safe for any number of threads.
 *
 * <pre>{@code
 * Receiver receiver = Receiver.of(key);
 * Event event = receiver.verify(body, headers);
 * }</pre>
 *
 * @param keys the webhook's signing keys, any of which may fit (after a rotation: new and old)
 * @param scheme how the request is signed
 * @param header of {@link Scheme#HEX}
 * @param tolerance how far a request's time may be from the clock, to both sides
 * @param maxSize of the body, in bytes
 * @param clock for tests
 */
public record Receiver(
    List<String> keys, Scheme scheme, String header, Duration tolerance, int maxSize, Clock clock) {
  /** The header of {@link Scheme#HEX}. */
  public static final String DEFAULT_HEADER = "hookpost-signature-sha-256";

  /** How far a request's time may be from the clock. */
  public static final Duration TOLERANCE = Duration.ofMinutes(5);

  /** The largest body, in bytes. */
  public static final int MAX_SIZE = 1024 * 1024;

  public Receiver {
    keys = keys.stream().filter(Objects::nonNull).toList();
  }

  /** By {@link Scheme#STANDARD} and with the defaults. */
  public static Receiver of(String... keys) {
    return new Receiver(Arrays.asList(keys), Scheme.STANDARD, DEFAULT_HEADER, TOLERANCE, MAX_SIZE, Clock.systemUTC());
  }

  /** The same for Logto's scheme, whose signature is in {@code header}. */
  public Receiver hex(String header) {
    return new Receiver(keys, Scheme.HEX, header, tolerance, maxSize, clock);
  }

  /** The same with another tolerance. */
  public Receiver tolerance(Duration tolerance) {
    return new Receiver(keys, scheme, header, tolerance, maxSize, clock);
  }

  /** The same for bodies of at most so many bytes. */
  public Receiver maxSize(int maxSize) {
    return new Receiver(keys, scheme, header, tolerance, maxSize, clock);
  }

  /** The same by another clock. */
  public Receiver clock(Clock clock) {
    return new Receiver(keys, scheme, header, tolerance, maxSize, clock);
  }

  /**
   * The event, if the request is authentic and of now. Throws InvalidWebhookException and nothing else, whatever comes.
   *
   * @param body the bytes as they came, before anything parsed them
   * @param headers all of the request's, in capitals or not, such as those of the JDK's HttpServer or of Spring
   */
  public Event verify(byte[] body, Map<String, ? extends Collection<String>> headers) {
    if (body == null) {
      throw InvalidWebhookException.parsed("it is null");
    }
    if (body.length > maxSize) {
      throw InvalidWebhookException.tooLarge(maxSize);
    }
    HeaderReader reader = HeaderReader.of(headers);
    Instant timestamp = null;
    if (scheme == Scheme.HEX) {
      Signature.checkHex(body, reader, keys, header);
    } else {
      timestamp = Signature.checkStandard(body, reader, keys);
      checkAge(Duration.between(timestamp, clock.instant()));
    }
    return Envelope.read(body, reader, timestamp);
  }

  private void checkAge(Duration age) {
    if (age.compareTo(tolerance) > 0) {
      throw new InvalidWebhookException(
          Reason.TOO_OLD, "it was sent " + age.toSeconds() + " s ago; compare the clocks");
    }
    if (age.negated().compareTo(tolerance) > 0) {
      throw new InvalidWebhookException(
          Reason.TOO_NEW, "it was sent " + -age.toSeconds() + " s ahead of this clock; compare the clocks");
    }
  }

  /** Without the keys. */
  @Override
  public String toString() {
    return "Receiver[" + keys.size() + " keys, " + scheme + "]";
  }
}
