import { status, type ServiceError, type StatusObject } from "@grpc/grpc-js";

import { details } from "./details.js";

/** The name of a gRPC status, such as "UNAVAILABLE". */
export type Code = keyof typeof status;

/** What is wrong with one field of the request. */
export interface FieldViolation {
  /** A path such as `requests[2].json`. */
  readonly field: string;
  readonly description: string;
}

/** What is known of a failure beside its code and message. */
export interface Particulars {
  reason?: string;
  violations?: readonly FieldViolation[];
  retryDelayMs?: number;
  idempotencyKey?: string;
}

/** A call that failed. After DEADLINE_EXCEEDED an event may have been accepted: the same key tells when repeated. */
export class HookpostError extends Error {
  override readonly name = "HookpostError";
  /** A name of ErrorReason, such as FIELD_INVALID; empty when no Hookpost answered. */
  readonly reason: string;
  /** Every wrong field at once. */
  readonly violations: readonly FieldViolation[];
  /** What the server asks to wait for; null when it does not say. */
  readonly retryDelayMs: number | null;
  /** Of the emit that failed; empty for other calls and for batches. */
  readonly idempotencyKey: string;

  constructor(
    readonly code: Code,
    message: string,
    particulars: Particulars = {},
  ) {
    super(message);
    this.reason = particulars.reason ?? "";
    this.violations = particulars.violations ?? [];
    this.retryDelayMs = particulars.retryDelayMs ?? null;
    this.idempotencyKey = particulars.idempotencyKey ?? "";
  }

  /** Whether the same call, an emit under the same idempotency key, may succeed later. */
  get retryable(): boolean {
    switch (this.code) {
      case "UNAVAILABLE":
      case "DEADLINE_EXCEEDED":
      case "CANCELLED":
        return true;
      case "RESOURCE_EXHAUSTED":
        return this.reason !== "LIMIT_EXCEEDED";
      case "ABORTED":
        return this.reason !== "ETAG_MISMATCH";
      default:
        return false;
    }
  }

  /** Reads an error of a generated client. */
  static from(error: ServiceError | StatusObject, idempotencyKey = ""): HookpostError {
    const [packed] = error.metadata.get("grpc-status-details-bin");
    const found = packed instanceof Uint8Array ? details(packed) : {};
    return new HookpostError(codeOf(error.code), error.details, { ...found, idempotencyKey });
  }
}

/** The name of a code's number. */
export function codeOf(number: number): Code {
  return (status[number] ?? "UNKNOWN") as Code;
}
