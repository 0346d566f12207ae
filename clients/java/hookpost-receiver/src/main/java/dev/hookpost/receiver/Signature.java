package dev.hookpost.receiver;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Both schemes. */
final class Signature {
  private static final String PREFIX = "whsec_";
  private static final Pattern SECONDS = Pattern.compile("[0-9]{1,11}");

  /** Hookpost writes no white space at the beginning of its envelopes. */
  private static final Pattern WRITTEN_ANEW = Pattern.compile("\\{(\\s+\"|\"(event|type|specversion)\":\\s)");

  private Signature() {}

  /** Returns when the attempt was made. */
  static Instant checkStandard(byte[] body, HeaderReader headers, List<String> keys) {
    List<byte[]> secrets = keys(keys).stream().map(Signature::decoded).toList();
    String id = required(headers, "webhook-id");
    String timestamp = required(headers, "webhook-timestamp");
    String signatures = required(headers, "webhook-signature");
    if (!SECONDS.matcher(timestamp).matches()) {
      throw new InvalidWebhookException(Reason.BAD_TIMESTAMP, "webhook-timestamp is not a number of seconds");
    }
    byte[] head = (id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8);
    byte[] content = ByteBuffer.allocate(head.length + body.length).put(head).put(body).array();
    List<String> expected =
        secrets.stream().map(key -> "v1," + Base64.getEncoder().encodeToString(sign(key, content))).toList();
    compare(expected, List.of(signatures.trim().split("\\s+")), body);
    return Instant.ofEpochSecond(Long.parseLong(timestamp));
  }

  static void checkHex(byte[] body, HeaderReader headers, List<String> keys, String header) {
    List<String> expected =
        keys(keys).stream()
            .map(key -> HexFormat.of().formatHex(sign(key.getBytes(StandardCharsets.UTF_8), body)))
            .toList();
    compare(expected, List.of(required(headers, header)), body);
  }

  private static String required(HeaderReader headers, String name) {
    String value = headers.get(name);
    if (value.isEmpty()) {
      throw new InvalidWebhookException(Reason.MISSING_HEADER, "there is no header " + name);
    }
    return value;
  }

  private static List<String> keys(List<String> given) {
    List<String> keys = given.stream().filter(key -> !key.isEmpty()).toList();
    if (keys.isEmpty()) {
      throw new InvalidWebhookException(Reason.NO_KEY, "no signing key was given");
    }
    return keys;
  }

  /** Standard Webhooks signs with what "whsec_" encodes in base64; other keys are taken as they are. */
  private static byte[] decoded(String key) {
    if (!key.startsWith(PREFIX)) {
      return key.getBytes(StandardCharsets.UTF_8);
    }
    try {
      byte[] secret = Base64.getDecoder().decode(key.substring(PREFIX.length()));
      if (secret.length > 0) {
        return secret;
      }
    } catch (IllegalArgumentException error) {
      // said below, without the key's text
    }
    throw new InvalidWebhookException(Reason.NO_KEY, "a signing key is not base64 after \"" + PREFIX + "\"");
  }

  /** MessageDigest.isEqual takes the same time wherever they differ. */
  private static void compare(List<String> expected, List<String> given, byte[] body) {
    boolean fits = false;
    for (String ours : expected) {
      for (String theirs : given) {
        fits |= MessageDigest.isEqual(ours.getBytes(StandardCharsets.UTF_8), theirs.getBytes(StandardCharsets.UTF_8));
      }
    }
    if (fits) {
      return;
    }
    String start = new String(body, 0, Math.min(body.length, 64), StandardCharsets.ISO_8859_1);
    if (WRITTEN_ANEW.matcher(start).lookingAt()) {
      throw InvalidWebhookException.parsed("it was written anew, with white space that Hookpost does not send");
    }
    throw new InvalidWebhookException(Reason.BAD_SIGNATURE, "no signature fits any of the keys");
  }

  private static byte[] sign(byte[] key, byte[] content) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      return mac.doFinal(content);
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException("every JDK has HmacSHA256", error);
    }
  }
}
