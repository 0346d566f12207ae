/** The API as generated: messages, enums and grpc-js clients of hookpost.v1. */
export * from "./generated/hookpost/v1/api_key.js";
export * from "./generated/hookpost/v1/api_key_service.js";
export * from "./generated/hookpost/v1/delivery.js";
export * from "./generated/hookpost/v1/delivery_service.js";
export * from "./generated/hookpost/v1/error_reason.js";
export * from "./generated/hookpost/v1/event.js";
export * from "./generated/hookpost/v1/event_service.js";
export * from "./generated/hookpost/v1/event_type.js";
export * from "./generated/hookpost/v1/event_type_service.js";
export * from "./generated/hookpost/v1/webhook.js";
export * from "./generated/hookpost/v1/webhook_service.js";
