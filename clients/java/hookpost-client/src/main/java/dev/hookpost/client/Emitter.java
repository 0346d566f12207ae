package dev.hookpost.client;

import dev.hookpost.v1.EmitEventError;
import dev.hookpost.v1.EmitEventRequest;
import dev.hookpost.v1.EventServiceGrpc.EventServiceStub;
import dev.hookpost.v1.StreamEmitEventsRequest;
import dev.hookpost.v1.StreamEmitEventsResponse;
import dev.hookpost.v1.StreamEmitEventsResult;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Emits over one stream, at a fraction of what a call for each event costs: for producers of many events, and for any
 * number of threads.
 *
 * <p>It opens the stream again when it breaks. What was not answered is sent again, each event under the idempotency
 * key that it got at first: it is accepted once.
 */
public final class Emitter implements AutoCloseable {
  /** How many events may be unanswered; a further emit waits. */
  public static final int WINDOW = 1000;

  /** Milliseconds before the stream is opened again; the last one repeats, ±50 %. */
  private static final long[] DELAYS = {100, 200, 500, 1000, 2000};

  /** These come again with every call. */
  private static final Set<Status.Code> LASTING =
      Set.of(
          Status.Code.UNAUTHENTICATED,
          Status.Code.PERMISSION_DENIED,
          Status.Code.UNIMPLEMENTED,
          Status.Code.INVALID_ARGUMENT);

  /** An event whose answer has not come. */
  private record Pending(StreamEmitEventsRequest message, CompletableFuture<Emitted> answer) {
    String key() {
      return message.getEvent().getIdempotencyKey();
    }
  }

  private final EventServiceStub stub;
  private final Semaphore room;
  private final Duration timeout;
  private final ScheduledThreadPoolExecutor timer;

  // What follows is guarded by `this`; futures are completed without it, for their callers' code may run then.
  private final SortedMap<Long, Pending> waiting = new TreeMap<>();
  private final Queue<Long> outbox = new ArrayDeque<>();
  private ClientCallStreamObserver<StreamEmitEventsRequest> call;
  private long sequence;
  private int failures;
  private boolean pausing;
  private boolean closed;

  Emitter(EventServiceStub stub, int window, Duration timeout) {
    this.stub = stub;
    this.room = new Semaphore(window);
    this.timeout = timeout;
    this.timer =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "hookpost-emitter");
              thread.setDaemon(true);
              return thread;
            });
    timer.setRemoveOnCancelPolicy(true);
  }

  /** Returns once the event is committed. Throws HookpostException. */
  public Emitted emit(Event event) {
    return HookpostClient.await(emitAsync(event));
  }

  /** Waits for room in the window, but not for the answer. The future fails with HookpostException. */
  public CompletableFuture<Emitted> emitAsync(Event event) {
    EmitEventRequest request = event.request();
    CompletableFuture<Emitted> answer = new CompletableFuture<>();
    long end = System.nanoTime() + timeout.toNanos();
    try {
      if (!room.tryAcquire(timeout.toNanos(), TimeUnit.NANOSECONDS)) {
        answer.completeExceptionally(late(request.getIdempotencyKey()));
        return answer;
      }
    } catch (InterruptedException interruption) {
      Thread.currentThread().interrupt();
      answer.completeExceptionally(failure(Status.Code.CANCELLED, "interrupted", request.getIdempotencyKey()));
      return answer;
    }
    answer.whenComplete((emitted, error) -> room.release());
    if (!add(request, answer, end)) {
      answer.completeExceptionally(
          failure(Status.Code.CANCELLED, "the emitter was closed", request.getIdempotencyKey()));
    }
    return answer;
  }

  /** Ends the stream; emits that still wait fail with CANCELLED. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      timer.shutdownNow();
      if (call != null) {
        call.cancel("the emitter was closed", null);
      }
    }
    fail(Status.Code.CANCELLED, "the emitter was closed", "");
  }

  private synchronized boolean add(EmitEventRequest request, CompletableFuture<Emitted> answer, long end) {
    if (closed) {
      return false;
    }
    long number = ++sequence;
    Future<?> limit =
        timer.schedule(
            () -> answer.completeExceptionally(late(request.getIdempotencyKey())),
            end - System.nanoTime(),
            TimeUnit.NANOSECONDS);
    answer.whenComplete(
        (emitted, error) -> {
          limit.cancel(false);
          forget(number);
        });
    StreamEmitEventsRequest message =
        StreamEmitEventsRequest.newBuilder().setSequence(number).setEvent(request).build();
    waiting.put(number, new Pending(message, answer));
    send(number);
    return true;
  }

  private synchronized void forget(long number) {
    waiting.remove(number);
  }

  private synchronized void send(long number) {
    outbox.add(number);
    if (call != null) {
      write();
    } else if (!pausing) {
      open();
    }
  }

  private synchronized void open() {
    pausing = false;
    if (closed || waiting.isEmpty()) {
      return;
    }
    outbox.clear();
    outbox.addAll(waiting.keySet()); // what the last call left unanswered, and what came since, oldest first
    stub.streamEmitEvents(new Conversation());
  }

  /** Sends what the transport takes; it calls again when it takes more. */
  private synchronized void write() {
    while (call != null && call.isReady() && !outbox.isEmpty()) {
      Pending pending = waiting.get(outbox.remove());
      if (pending != null) {
        call.onNext(pending.message());
      }
    }
  }

  /** One call, until it ends. */
  private final class Conversation
      implements ClientResponseObserver<StreamEmitEventsRequest, StreamEmitEventsResponse> {
    @Override
    public void beforeStart(ClientCallStreamObserver<StreamEmitEventsRequest> started) {
      call = started;
      started.setOnReadyHandler(Emitter.this::write);
    }

    @Override
    public void onNext(StreamEmitEventsResponse response) {
      response.getResultsList().forEach(Emitter.this::take);
    }

    @Override
    public void onError(Throwable error) {
      HookpostException failure = HookpostException.of(error);
      if (LASTING.contains(failure.code())) {
        fail(failure.code(), Status.fromThrowable(error).getDescription(), failure.reason());
      }
      ended();
    }

    @Override
    public void onCompleted() {
      ended();
    }
  }

  private synchronized void ended() {
    call = null;
    if (closed) {
      return;
    }
    long delay = DELAYS[Math.min(failures++, DELAYS.length - 1)];
    pausing = true;
    double share = ThreadLocalRandom.current().nextDouble(0.5, 1.5);
    timer.schedule(this::open, (long) (delay * share), TimeUnit.MILLISECONDS);
  }

  private void take(StreamEmitEventsResult result) {
    Pending pending;
    synchronized (this) {
      failures = 0;
      pending = waiting.get(result.getSequence());
    }
    if (pending == null) {
      return;
    }
    EmitEventError error = result.getError();
    if (result.hasResponse()) {
      pending.answer().complete(Emitted.of(result.getResponse()));
    } else if (error.hasRetryDelay()) {
      var delay = error.getRetryDelay();
      again(result.getSequence(), Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
    } else {
      String reason = error.getReason().name().replaceFirst("^ERROR_REASON_", "");
      Status.Code code = Status.fromCodeValue(error.getCode()).getCode();
      pending.answer().completeExceptionally(
          new HookpostException(code, error.getMessage(), reason, List.of(), null, pending.key()));
    }
  }

  private synchronized void again(long number, Duration delay) {
    if (!closed) {
      timer.schedule(() -> send(number), delay.toNanos(), TimeUnit.NANOSECONDS);
    }
  }

  private void fail(Status.Code code, String message, String reason) {
    List<Pending> all;
    synchronized (this) {
      all = List.copyOf(waiting.values());
    }
    for (Pending each : all) {
      each.answer().completeExceptionally(
          new HookpostException(code, String.valueOf(message), reason, List.of(), null, each.key()));
    }
  }

  private HookpostException late(String key) {
    return failure(Status.Code.DEADLINE_EXCEEDED, "no answer within " + timeout.toMillis() + " ms", key);
  }

  private static HookpostException failure(Status.Code code, String message, String key) {
    return new HookpostException(code, message, "", List.of(), null, key);
  }
}
