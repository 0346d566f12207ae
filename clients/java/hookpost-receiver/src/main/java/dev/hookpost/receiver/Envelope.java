package dev.hookpost.receiver;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;

/** Takes a verified body apart. The type comes from there alone: other headers are not signed. */
final class Envelope {
  private static final Set<String> FLAT = Set.of("event", "createdAt", "hookId");
  private static final Set<String> STANDARD = Set.of("type", "timestamp", "data");

  private Envelope() {}

  static Event read(byte[] body, HeaderReader headers, Instant timestamp) {
    String text = text(body);
    Map<String, Json.Member> members;
    try {
      members = Json.object(text);
    } catch (IllegalArgumentException error) {
      throw new InvalidWebhookException(Reason.MALFORMED, "signed, but not to be read: " + error.getMessage());
    }
    Object type = "";
    Object moment = null;
    Map<String, Json.Member> data = members;
    String json = text;
    if (members.keySet().containsAll(FLAT)) {
      type = members.get("event").value();
      moment = members.get("createdAt").value();
      data = new LinkedHashMap<>(members);
      data.keySet().removeAll(FLAT);
      json = data.values().stream().map(Json.Member::text).collect(Collectors.joining(",", "{", "}"));
    } else if (members.containsKey("specversion") || members.keySet().equals(STANDARD)) {
      type = value(members, "type");
      moment = value(members, members.containsKey("specversion") ? "time" : "timestamp");
      json = value(members, "data") instanceof Map ? members.get("data").source() : "{}";
      data = Json.object(json);
    }
    Map<String, Object> values = new LinkedHashMap<>();
    data.forEach((name, member) -> values.put(name, member.value()));
    return new Event(
        headers.get("webhook-id"),
        type instanceof String name ? name : "",
        values,
        json,
        timestamp,
        time(moment),
        attempt(headers.get("hookpost-attempt")),
        headers.get("hookpost-delivery"),
        body);
  }

  private static String text(byte[] body) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body)).toString();
    } catch (CharacterCodingException error) {
      throw new InvalidWebhookException(Reason.MALFORMED, "signed, but not UTF-8");
    }
  }

  private static Object value(Map<String, Json.Member> members, String name) {
    Json.Member member = members.get(name);
    return member == null ? null : member.value();
  }

  private static Instant time(Object moment) {
    try {
      return moment instanceof String text ? OffsetDateTime.parse(text).toInstant() : null;
    } catch (DateTimeException error) {
      return null;
    }
  }

  private static OptionalInt attempt(String text) {
    return text.matches("[0-9]{1,9}") ? OptionalInt.of(Integer.parseInt(text)) : OptionalInt.empty();
  }
}
