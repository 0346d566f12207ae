package dev.hookpost.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;

/** A call that failed. After DEADLINE_EXCEEDED an event may have been accepted: the same key tells when repeated. */
public final class HookpostException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final Status.Code code;
  private final String reason;
  private final transient List<FieldViolation> violations;
  private final Duration retryDelay;
  private final String idempotencyKey;

  HookpostException(
      Status.Code code,
      String message,
      String reason,
      List<FieldViolation> violations,
      Duration retryDelay,
      String idempotencyKey) {
    super(code + (reason.isEmpty() ? "" : " (" + reason + ")") + ": " + message);
    this.code = code;
    this.reason = reason;
    this.violations = violations;
    this.retryDelay = retryDelay;
    this.idempotencyKey = idempotencyKey;
  }

  /** Reads what a generated stub throws. */
  public static HookpostException of(Throwable error) {
    return of(error, "");
  }

  static HookpostException of(Throwable error, String idempotencyKey) {
    if (error instanceof HookpostException known) {
      return known;
    }
    Status status = Status.fromThrowable(error);
    String reason = "";
    List<FieldViolation> violations = List.of();
    Duration delay = null;
    com.google.rpc.Status answer = StatusProto.fromThrowable(error);
    try {
      for (Any detail : answer == null ? List.<Any>of() : answer.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          reason = detail.unpack(ErrorInfo.class).getReason();
        } else if (detail.is(BadRequest.class)) {
          violations = violations(detail.unpack(BadRequest.class));
        } else if (detail.is(RetryInfo.class)) {
          var wait = detail.unpack(RetryInfo.class).getRetryDelay();
          delay = Duration.ofSeconds(wait.getSeconds(), wait.getNanos());
        }
      }
    } catch (InvalidProtocolBufferException broken) {
      // details are extras; the code and the message stand
    }
    String message = status.getDescription() == null ? "" : status.getDescription();
    HookpostException made =
        new HookpostException(status.getCode(), message, reason, violations, delay, idempotencyKey);
    made.initCause(error);
    return made;
  }

  private static List<FieldViolation> violations(BadRequest bad) {
    return bad.getFieldViolationsList().stream()
        .map(each -> new FieldViolation(each.getField(), each.getDescription()))
        .toList();
  }

  /** The gRPC status. */
  public Status.Code code() {
    return code;
  }

  /** A name of ErrorReason without its prefix, such as FIELD_INVALID; empty when no Hookpost answered. */
  public String reason() {
    return reason;
  }

  /** Every wrong field at once. */
  public List<FieldViolation> violations() {
    return violations == null ? List.of() : violations;
  }

  /** What the server asks to wait for; null when it does not say. */
  public Duration retryDelay() {
    return retryDelay;
  }

  /** Of the emit that failed; empty for other calls and for batches. */
  public String idempotencyKey() {
    return idempotencyKey;
  }

  /** Whether the same call, an emit under the same idempotency key, may succeed later. */
  public boolean retryable() {
    return switch (code) {
      case UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED -> true;
      case RESOURCE_EXHAUSTED -> !reason.equals("LIMIT_EXCEEDED");
      case ABORTED -> !reason.equals("ETAG_MISMATCH");
      default -> false;
    };
  }
}
