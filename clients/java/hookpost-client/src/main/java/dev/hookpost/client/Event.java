package dev.hookpost.client;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonParseException;
import com.google.protobuf.Timestamp;
import dev.hookpost.v1.EmitEventRequest;
import io.grpc.Status;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.UUID;

/**
 * An event to emit.
 *
 * @param type such as {@code User.Created}
 * @param payload a JSON object of at most 256 KiB. A String or byte[] is JSON already and goes out exactly as it is;
 *     all else (a Map, a record) is written by Gson
 * @param tenantId empty: the server's default
 * @param idempotencyKey 1 to 255 printable characters; empty: one is made for each call, so that its retries can't
 *     accept the event twice. Give your own (an order's id) to be safe against a crash of the caller too
 * @param occurTime when it happened; null: when it is accepted
 */
public record Event(String type, Object payload, String tenantId, String idempotencyKey, Instant occurTime) {
  private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

  public Event {
    Objects.requireNonNull(type, "type");
    Objects.requireNonNull(tenantId, "tenantId");
    Objects.requireNonNull(idempotencyKey, "idempotencyKey");
  }

  /** With the defaults. */
  public static Event of(String type, Object payload) {
    return new Event(type, payload, "", "", null);
  }

  /** The same for a tenant. */
  public Event tenantId(String tenantId) {
    return new Event(type, payload, tenantId, idempotencyKey, occurTime);
  }

  /** The same under a key of the caller's. */
  public Event idempotencyKey(String idempotencyKey) {
    return new Event(type, payload, tenantId, idempotencyKey, occurTime);
  }

  /** The same, when it happened. */
  public Event occurTime(Instant occurTime) {
    return new Event(type, payload, tenantId, idempotencyKey, occurTime);
  }

  /** Throws HookpostException for a payload that can't be written as JSON. */
  EmitEventRequest request() {
    EmitEventRequest.Builder request =
        EmitEventRequest.newBuilder()
            .setType(type)
            .setJson(json())
            .setTenantId(tenantId)
            .setIdempotencyKey(idempotencyKey.isEmpty() ? UUID.randomUUID().toString() : idempotencyKey);
    if (occurTime != null) {
      request.setOccurTime(
          Timestamp.newBuilder().setSeconds(occurTime.getEpochSecond()).setNanos(occurTime.getNano()));
    }
    return request.build();
  }

  private String json() {
    if (payload instanceof String text) {
      return text;
    }
    try {
      return payload instanceof byte[] bytes
          ? StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()
          : GSON.toJson(payload);
    } catch (CharacterCodingException
        | JsonParseException
        | IllegalArgumentException
        | UnsupportedOperationException error) {
      throw new HookpostException(
          Status.Code.INVALID_ARGUMENT,
          "the payload is not JSON",
          "FIELD_INVALID",
          List.of(new FieldViolation("payload", String.valueOf(error.getMessage()))),
          null,
          idempotencyKey);
    }
  }
}
