import { InvalidWebhook } from "./refusal.js";

/** An event, as signed. The same event may come twice: `id` tells, so keep the ids of the last days. */
export interface Event<Data = Record<string, unknown>> {
  /** The same for every attempt. */
  readonly id: string;
  /** From the signed body; empty where it does not say (payload format RAW). */
  readonly type: string;
  /** The payload, without what the envelope adds. Whole numbers above 2^53 lose digits: read those from `body`. */
  readonly data: Data;
  /** Of this attempt; null by the scheme "hex", which signs no time. */
  readonly timestamp: Date | null;
  /** When it happened; null where the body does not say. */
  readonly occurTime: Date | null;
  /** From an unsigned header: for logs only. */
  readonly attempt: number | null;
  /** From an unsigned header: for logs only. */
  readonly deliveryId: string;
  /** Exactly what was signed. */
  readonly body: Uint8Array;
}

type Members = Record<string, unknown>;

/** Takes a verified body apart. */
export function read(body: Uint8Array, header: (name: string) => string, timestamp: Date | null): Event {
  const content = parse(body);
  const [type, moment, data] = opened(content);
  const attempt = header("hookpost-attempt");
  return {
    id: header("webhook-id"),
    type: typeof type === "string" ? type : "",
    data: isObject(data) ? data : {},
    timestamp,
    occurTime: time(moment),
    attempt: /^[0-9]{1,9}$/.test(attempt) ? Number(attempt) : null,
    deliveryId: header("hookpost-delivery"),
    body,
  };
}

function parse(body: Uint8Array): Members {
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
  } catch {
    throw new InvalidWebhook("malformed", "signed, but not JSON in UTF-8");
  }
  if (!isObject(content)) throw new InvalidWebhook("malformed", "signed, but not a JSON object");
  return content;
}

/** Type, moment and payload, by the payload format that the members show. */
function opened(content: Members): [unknown, unknown, unknown] {
  if (has(content, "event", "createdAt", "hookId")) {
    const { event, createdAt, hookId: _, ...data } = content;
    return [event, createdAt, data];
  }
  if (has(content, "specversion")) return [content["type"], content["time"], content["data"]];
  if (has(content, "type", "timestamp", "data") && Object.keys(content).length === 3) {
    return [content["type"], content["timestamp"], content["data"]];
  }
  return ["", null, content];
}

function has(content: Members, ...names: string[]): boolean {
  return names.every((name) => Object.hasOwn(content, name));
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function time(moment: unknown): Date | null {
  const date = typeof moment === "string" ? new Date(moment) : null;
  return date === null || Number.isNaN(date.getTime()) ? null : date;
}
