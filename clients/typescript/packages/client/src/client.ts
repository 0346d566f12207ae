import { Metadata, type CallOptions, type Channel, type ClientUnaryCall, type ServiceError } from "@grpc/grpc-js";

import { authorization, limit, open, settle, type ClientOptions } from "./connection.js";
import { emitted, requestOf } from "./emission.js";
import type { BatchOptions, EmitOptions, Emitted, Event, Payload } from "./emission.js";
import { Emitter, type EmitterOptions } from "./emitter.js";
import { HookpostError } from "./errors.js";
import { ApiKeyServiceClient } from "./generated/hookpost/v1/api_key_service.js";
import { DeliveryServiceClient } from "./generated/hookpost/v1/delivery_service.js";
import { BatchEmitEventsRequest, EventServiceClient } from "./generated/hookpost/v1/event_service.js";
import { EventTypeServiceClient } from "./generated/hookpost/v1/event_type_service.js";
import { WebhookServiceClient } from "./generated/hookpost/v1/webhook_service.js";

/** Limit for a call, its retries included, in milliseconds. */
export const TIMEOUT_MS = 10_000;

/** A connection to one Hookpost; one a process is enough. Close it, or the process stays. */
export class Client implements Disposable {
  /** The generated services, grpc-js clients; their errors are read by HookpostError.from. */
  readonly webhooks: WebhookServiceClient;
  readonly events: EventServiceClient;
  readonly eventTypes: EventTypeServiceClient;
  readonly deliveries: DeliveryServiceClient;
  readonly apiKeys: ApiKeyServiceClient;
  readonly #channel: Channel;
  readonly #timeoutMs: number;

  /** Connects at the first call. Throws when the options do not fit together. */
  constructor(options: ClientOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const connection = settle(options);
    const { target, credentials } = connection;
    this.#channel = open(connection, options.serverName);
    const shared = {
      channelOverride: this.#channel,
      interceptors: [limit(this.#timeoutMs), ...authorization(connection)],
    };
    this.webhooks = new WebhookServiceClient(target, credentials, shared);
    this.events = new EventServiceClient(target, credentials, shared);
    this.eventTypes = new EventTypeServiceClient(target, credentials, shared);
    this.deliveries = new DeliveryServiceClient(target, credentials, shared);
    this.apiKeys = new ApiKeyServiceClient(target, credentials, shared);
  }

  /**
   * Resolves once the event is committed. A server that is away is waited for, and the call repeated under the same
   * key, while the time lasts. Rejects with HookpostError.
   */
  async emit(type: string, payload: Payload, options: EmitOptions = {}): Promise<Emitted> {
    const request = requestOf({ ...options, type, payload });
    const call = this.events.emitEvent.bind(this.events);
    return emitted(await this.#call(call, request, options, request.idempotencyKey));
  }

  /** Up to 1000 events of one tenant, all or none. Rejects with HookpostError. */
  async emitBatch(events: readonly Event[], options: BatchOptions = {}): Promise<Emitted[]> {
    const requests = events.map(requestOf);
    const tenantId = requests.find((request) => request.tenantId !== "")?.tenantId ?? "";
    const call = this.events.batchEmitEvents.bind(this.events);
    const answer = await this.#call(call, BatchEmitEventsRequest.create({ tenantId, requests }), options);
    return answer.responses.map(emitted);
  }

  /** For producers of many events. Close it. */
  emitter(options: EmitterOptions = {}): Emitter {
    return new Emitter(this.events, { timeoutMs: this.#timeoutMs, ...options });
  }

  /** Ends the connection. */
  close(): void {
    this.#channel.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #call<Request, Response>(
    method: (
      request: Request,
      metadata: Metadata,
      options: Partial<CallOptions>,
      callback: (error: ServiceError | null, response: Response) => void,
    ) => ClientUnaryCall,
    request: Request,
    { timeoutMs = this.#timeoutMs, signal }: BatchOptions,
    idempotencyKey = "",
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(new HookpostError("CANCELLED", "the signal was aborted", { idempotencyKey }));
      const metadata = new Metadata({ waitForReady: true });
      const call = method(request, metadata, { deadline: Date.now() + timeoutMs }, (error, response) => {
        signal?.removeEventListener("abort", cancel);
        if (error) reject(HookpostError.from(error, idempotencyKey));
        else resolve(response);
      });
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }
}
