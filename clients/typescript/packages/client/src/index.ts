/**
 * Emits events to Hookpost.
 *
 *     const hookpost = new Client();
 *     await hookpost.emit("User.Created", { id: "u1" });
 *
 * The messages of the whole API are in `@hookpost/client/v1`. To receive webhooks: `@hookpost/receiver`.
 */
export { Client, TIMEOUT_MS } from "./client.js";
export type { ClientOptions } from "./connection.js";
export type { BatchOptions, EmitOptions, Emitted, Event, Payload } from "./emission.js";
export { Emitter, WINDOW, type EmitterOptions } from "./emitter.js";
export { HookpostError, type Code, type FieldViolation } from "./errors.js";
