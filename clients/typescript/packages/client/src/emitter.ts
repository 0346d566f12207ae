import type { ClientDuplexStream, StatusObject } from "@grpc/grpc-js";

import { emitted, requestOf, type EmitOptions, type Emitted, type Payload } from "./emission.js";
import { HookpostError, codeOf, type Code } from "./errors.js";
import { ErrorReason } from "./generated/hookpost/v1/error_reason.js";
import type {
  EventServiceClient,
  StreamEmitEventsRequest,
  StreamEmitEventsResponse,
  StreamEmitEventsResult,
} from "./generated/hookpost/v1/event_service.js";

/** How many events may be unanswered; a further emit waits. */
export const WINDOW = 1000;
/** Milliseconds before the stream is opened again; the last one repeats, ±50 %. */
const DELAYS = [100, 200, 500, 1000, 2000] as const;
/** These come again with every call. */
const LASTING = new Set<Code>(["UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "INVALID_ARGUMENT"]);

export interface EmitterOptions {
  /** Default {@link WINDOW}. */
  window?: number;
  /** Limit for one emit, connecting anew and sending again included; default: the client's. */
  timeoutMs?: number;
}

/** An event whose answer has not come. */
interface Pending {
  readonly message: StreamEmitEventsRequest;
  readonly resolve: (emitted: Emitted) => void;
  readonly reject: (error: HookpostError) => void;
}

type Call = ClientDuplexStream<StreamEmitEventsRequest, StreamEmitEventsResponse>;

/**
 * Emits over one stream, at a fraction of what a call for each event costs: for producers of many events.
 *
 * It opens the stream again when it breaks. What was not answered is sent again, each event under the idempotency key
 * that it got at first: it is accepted once.
 */
export class Emitter implements Disposable {
  readonly #events: EventServiceClient;
  readonly #window: number;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<bigint, Pending>(); // oldest first
  readonly #outside = new Set<Pending>(); // those for which the window has no room yet
  #outbox: bigint[] = [];
  #sequence = 0n;
  #call: Call | null = null;
  #pause: NodeJS.Timeout | null = null; // before the stream is opened again
  #failures = 0;
  #closed = false;

  constructor(events: EventServiceClient, { window = WINDOW, timeoutMs = 10_000 }: EmitterOptions) {
    this.#events = events;
    this.#window = window;
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves once the event is committed. Rejects with HookpostError. */
  async emit(type: string, payload: Payload, options: EmitOptions = {}): Promise<Emitted> {
    const event = requestOf({ ...options, type, payload });
    const { timeoutMs = this.#timeoutMs, signal } = options;
    const failure = (code: Code, message: string) =>
      new HookpostError(code, message, { idempotencyKey: event.idempotencyKey });
    if (this.#closed) throw failure("CANCELLED", "the emitter was closed");
    if (signal?.aborted) throw failure("CANCELLED", "the signal was aborted");
    const message = { sequence: ++this.#sequence, event };
    let timer: NodeJS.Timeout | undefined;
    let cancel: (() => void) | undefined;
    try {
      return await new Promise<Emitted>((resolve, reject) => {
        timer = setTimeout(() => reject(failure("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`)), timeoutMs);
        cancel = () => reject(failure("CANCELLED", "the signal was aborted"));
        signal?.addEventListener("abort", cancel, { once: true });
        this.#outside.add({ message, resolve, reject });
        this.#admit();
      });
    } finally {
      clearTimeout(timer);
      if (cancel) signal?.removeEventListener("abort", cancel);
      this.#forget(message.sequence);
    }
  }

  /** Ends the stream; emits that still wait are rejected with CANCELLED. */
  close(): void {
    this.#closed = true;
    if (this.#pause) clearTimeout(this.#pause);
    this.#call?.cancel();
    this.#fail("CANCELLED", "the emitter was closed");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #admit(): void {
    for (const pending of this.#outside) {
      if (this.#waiting.size >= this.#window) return;
      this.#outside.delete(pending);
      this.#waiting.set(pending.message.sequence, pending);
      this.#send(pending.message.sequence);
    }
  }

  #forget(sequence: bigint): void {
    for (const pending of this.#outside) {
      if (pending.message.sequence > sequence) break;
      if (pending.message.sequence === sequence) this.#outside.delete(pending);
    }
    if (this.#waiting.delete(sequence)) this.#admit();
  }

  #send(sequence: bigint): void {
    this.#outbox.push(sequence);
    if (this.#call) this.#write(this.#call);
    else if (!this.#pause) this.#open();
  }

  #open(): void {
    this.#pause = null;
    if (this.#closed || this.#waiting.size === 0) return;
    let call: Call;
    try {
      call = this.#events.streamEmitEvents();
    } catch (error) { // the client was closed: what a timer calls must not throw
      this.#closed = true;
      return this.#fail("CANCELLED", String(error));
    }
    this.#call = call;
    call.on("data", (response: StreamEmitEventsResponse) => {
      this.#failures = 0;
      for (const result of response.results) this.#take(result);
    });
    call.on("drain", () => this.#write(call));
    call.on("error", () => undefined); // the status says it
    call.on("status", (status: StatusObject) => this.#ended(status));
    this.#outbox = [...this.#waiting.keys()]; // what the last call left unanswered, and what came since
    this.#write(call);
  }

  #write(call: Call): void {
    if (call !== this.#call || call.writableNeedDrain) return;
    for (let sequence = this.#outbox.shift(); sequence !== undefined; sequence = this.#outbox.shift()) {
      const pending = this.#waiting.get(sequence);
      if (pending && !call.write(pending.message)) return;
    }
  }

  #ended(status: StatusObject): void {
    this.#call = null;
    if (this.#closed) return;
    const { code, message, reason } = HookpostError.from(status);
    if (LASTING.has(code)) this.#fail(code, message, reason);
    const delay = DELAYS[Math.min(this.#failures++, DELAYS.length - 1)] ?? DELAYS[0];
    this.#pause = setTimeout(() => this.#open(), delay * (0.5 + Math.random()));
  }

  #take({ sequence, response, error }: StreamEmitEventsResult): void {
    const pending = this.#waiting.get(sequence);
    if (!pending) return;
    if (response) {
      pending.resolve(emitted(response));
    } else if (error?.retryDelay) {
      const { seconds, nanos } = error.retryDelay;
      setTimeout(() => this.#send(sequence), Number(seconds) * 1000 + nanos / 1e6);
    } else if (error) {
      const idempotencyKey = pending.message.event?.idempotencyKey ?? "";
      const reason = ErrorReason[error.reason] ?? "";
      pending.reject(new HookpostError(codeOf(error.code), error.message, { reason, idempotencyKey }));
    }
  }

  #fail(code: Code, message: string, reason = ""): void {
    for (const { message: { event }, reject } of [...this.#waiting.values(), ...this.#outside]) {
      reject(new HookpostError(code, message, { reason, idempotencyKey: event?.idempotencyKey ?? "" }));
    }
  }
}
