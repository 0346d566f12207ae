package dev.hookpost.client;

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.ListenableFuture;
import com.google.common.util.concurrent.MoreExecutors;
import dev.hookpost.v1.ApiKeyServiceGrpc;
import dev.hookpost.v1.BatchEmitEventsRequest;
import dev.hookpost.v1.BatchEmitEventsResponse;
import dev.hookpost.v1.DeliveryServiceGrpc;
import dev.hookpost.v1.EmitEventRequest;
import dev.hookpost.v1.EventServiceGrpc;
import dev.hookpost.v1.EventTypeServiceGrpc;
import dev.hookpost.v1.WebhookServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.stub.AbstractStub;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * A connection to one Hookpost, for any number of threads; one a process is enough.
 *
 * <pre>{@code
 * try (HookpostClient hookpost = HookpostClient.create()) {
 *   hookpost.emit("User.Created", Map.of("id", "u1"));
 * }
 * }</pre>
 *
 * <p>Calls end after 10 s unless told otherwise. All throw HookpostException.
 */
public final class HookpostClient implements AutoCloseable {
  /** Limit for a call, its retries included. */
  public static final Duration TIMEOUT = Duration.ofSeconds(10);

  private final ManagedChannel channel;
  private final Duration timeout;

  private HookpostClient(ManagedChannel channel, Duration timeout) {
    this.channel = channel;
    this.timeout = timeout;
  }

  /** By the environment: HOOKPOST_ADDRESS, HOOKPOST_API_KEY, HOOKPOST_CA. */
  public static HookpostClient create() {
    return builder().build();
  }

  /** What is not set comes from the environment. */
  public static Builder builder() {
    return new Builder();
  }

  /** As {@link #emit(Event)}, with the defaults. */
  public Emitted emit(String type, Object payload) {
    return emit(Event.of(type, payload));
  }

  /**
   * Returns once the event is committed. A server that is away is waited for, and the call repeated under the same key,
   * while the time lasts.
   */
  public Emitted emit(Event event) {
    return await(emitAsync(event, timeout));
  }

  /** As {@link #emit(Event)}, within another time. */
  public Emitted emit(Event event, Duration timeout) {
    return await(emitAsync(event, timeout));
  }

  /** As {@link #emit(Event)}, without waiting. The future fails with HookpostException. */
  public CompletableFuture<Emitted> emitAsync(Event event) {
    return emitAsync(event, timeout);
  }

  private CompletableFuture<Emitted> emitAsync(Event event, Duration timeout) {
    EmitEventRequest request = event.request();
    return completable(
        calling(timeout).emitEvent(request), Emitted::of, request.getIdempotencyKey());
  }

  /** Up to 1000 events of one tenant, all or none; what is answered is in their order. */
  public List<Emitted> emitBatch(List<Event> events) {
    BatchEmitEventsRequest.Builder batch = BatchEmitEventsRequest.newBuilder();
    for (Event event : events) {
      batch.addRequests(event.request());
      if (batch.getTenantId().isEmpty()) {
        batch.setTenantId(event.tenantId());
      }
    }
    Function<BatchEmitEventsResponse, List<Emitted>> answers =
        response -> response.getResponsesList().stream().map(Emitted::of).toList();
    return await(completable(calling(timeout).batchEmitEvents(batch.build()), answers, ""));
  }

  /** For producers of many events. Close it. */
  public Emitter emitter() {
    return emitter(Emitter.WINDOW);
  }

  /** As {@link #emitter()}, for at most so many unanswered events. */
  public Emitter emitter(int window) {
    return new Emitter(EventServiceGrpc.newStub(channel), window, timeout);
  }

  /** The webhooks' service as generated; {@link HookpostException#of} reads its errors. */
  public WebhookServiceGrpc.WebhookServiceBlockingStub webhooks() {
    return limited(WebhookServiceGrpc.newBlockingStub(channel));
  }

  /** The events' service as generated. */
  public EventServiceGrpc.EventServiceBlockingStub events() {
    return limited(EventServiceGrpc.newBlockingStub(channel));
  }

  /** The event types' service as generated. */
  public EventTypeServiceGrpc.EventTypeServiceBlockingStub eventTypes() {
    return limited(EventTypeServiceGrpc.newBlockingStub(channel));
  }

  /** The deliveries' service as generated. Give {@code watchDeliveries} a deadline of its own. */
  public DeliveryServiceGrpc.DeliveryServiceBlockingStub deliveries() {
    return limited(DeliveryServiceGrpc.newBlockingStub(channel));
  }

  /** The API keys' service as generated. */
  public ApiKeyServiceGrpc.ApiKeyServiceBlockingStub apiKeys() {
    return limited(ApiKeyServiceGrpc.newBlockingStub(channel));
  }

  /** Ends the connection and all calls. */
  @Override
  public void close() {
    channel.shutdownNow();
  }

  private EventServiceGrpc.EventServiceFutureStub calling(Duration timeout) {
    return EventServiceGrpc.newFutureStub(channel)
        .withWaitForReady()
        .withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** The deadline counts from here: a stub is for the next call. */
  private <S extends AbstractStub<S>> S limited(S stub) {
    return stub.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
  }

  private static <T, R> CompletableFuture<R> completable(
      ListenableFuture<T> call, Function<T, R> read, String idempotencyKey) {
    CompletableFuture<R> future = new CompletableFuture<>();
    FutureCallback<T> callback =
        new FutureCallback<>() {
          @Override
          public void onSuccess(T answer) {
            future.complete(read.apply(answer));
          }

          @Override
          public void onFailure(Throwable error) {
            future.completeExceptionally(HookpostException.of(error, idempotencyKey));
          }
        };
    Futures.addCallback(call, callback, MoreExecutors.directExecutor());
    return future;
  }

  static <T> T await(CompletableFuture<T> future) {
    try {
      return future.join();
    } catch (CompletionException error) {
      throw error.getCause() instanceof HookpostException failure ? failure : error;
    }
  }

  /** Settings of a client. */
  public static final class Builder {
    private String address = "";
    private String apiKey = "";
    private String caFile = "";
    private String certFile = "";
    private String keyFile = "";
    private String serverName = "";
    private boolean insecure;
    private Duration timeout = TIMEOUT;

    private Builder() {}

    /**
     * {@code host:port}, with {@code https://} or {@code http://} before it to say whether by TLS; without, TLS is on
     * unless the host is this machine. Else HOOKPOST_ADDRESS, else 127.0.0.1:50051.
     */
    public Builder address(String address) {
      this.address = Objects.requireNonNull(address);
      return this;
    }

    /** Else HOOKPOST_API_KEY, else the content of the file HOOKPOST_API_KEY_FILE. */
    public Builder apiKey(String apiKey) {
      this.apiKey = Objects.requireNonNull(apiKey);
      return this;
    }

    /** PEM of the authorities to trust instead of the JDK's; else HOOKPOST_CA. */
    public Builder caFile(String caFile) {
      this.caFile = Objects.requireNonNull(caFile);
      return this;
    }

    /** PEM, for a server that asks for a client's certificate; else HOOKPOST_CLIENT_CERT and HOOKPOST_CLIENT_KEY. */
    public Builder certificate(String certFile, String keyFile) {
      this.certFile = Objects.requireNonNull(certFile);
      this.keyFile = Objects.requireNonNull(keyFile);
      return this;
    }

    /** If the server's certificate is for another name than the address has. */
    public Builder serverName(String serverName) {
      this.serverName = Objects.requireNonNull(serverName);
      return this;
    }

    /** Allows the API key to go to another machine without TLS. */
    public Builder insecure() {
      this.insecure = true;
      return this;
    }

    /** Limit for a call, its retries included; default {@link HookpostClient#TIMEOUT}. */
    public Builder timeout(Duration timeout) {
      this.timeout = Objects.requireNonNull(timeout);
      return this;
    }

    /** Connects at the first call. Throws IllegalArgumentException when the settings do not fit together. */
    public HookpostClient build() {
      Connection connection =
          new Connection(address, apiKey, caFile, certFile, keyFile, serverName, insecure, System::getenv);
      return new HookpostClient(connection.open(), timeout);
    }
  }
}
