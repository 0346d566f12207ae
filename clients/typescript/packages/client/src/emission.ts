import { randomUUID } from "node:crypto";

import { HookpostError } from "./errors.js";
import { EmitEventRequest, type EmitEventResponse } from "./generated/hookpost/v1/event_service.js";

/** A JSON object of at most 256 KiB. Text and bytes are JSON already and go out exactly as they are. */
export type Payload = object | string | Uint8Array;

/** An event to emit. */
export interface Event {
  type: string;
  payload: Payload;
  /** Default: the server's, "default". */
  tenantId?: string;
  /**
   * 1 to 255 printable characters; made if not given, once for each call, so that its retries can't accept the event
   * twice. Give your own (an order's id) to be safe against a crash of the caller too.
   */
  idempotencyKey?: string;
  /** When it happened; default: when it is accepted. */
  occurTime?: Date;
}

/** How to make a call. */
export interface BatchOptions {
  /** Milliseconds, retries included; default: the client's. */
  timeoutMs?: number;
  /** Ends the call. */
  signal?: AbortSignal;
}

/** What an event may say beside type and payload, and how to make the call. */
export type EmitOptions = Omit<Event, "type" | "payload"> & BatchOptions;

/** An event that the server has committed. */
export interface Emitted {
  readonly eventId: string;
  /** Webhooks that it goes to. */
  readonly deliveryCount: number;
  /** The idempotency key was known, and `eventId` is the first event. */
  readonly duplicate: boolean;
}

/** Throws HookpostError for a payload that can't be written as JSON. */
export function requestOf(event: Event): EmitEventRequest {
  return EmitEventRequest.create({
    type: event.type,
    json: json(event.payload),
    tenantId: event.tenantId ?? "",
    idempotencyKey: event.idempotencyKey || randomUUID(),
    occurTime: event.occurTime,
  });
}

export function emitted({ eventId, deliveryCount, duplicate }: EmitEventResponse): Emitted {
  return { eventId, deliveryCount, duplicate };
}

function json(payload: Payload): string {
  if (typeof payload === "string") return payload;
  try {
    if (!(payload instanceof Uint8Array)) return JSON.stringify(payload) ?? "";
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch (error) {
    throw new HookpostError("INVALID_ARGUMENT", "the payload is not JSON", {
      reason: "FIELD_INVALID",
      violations: [{ field: "payload", description: String(error) }],
    });
  }
}
