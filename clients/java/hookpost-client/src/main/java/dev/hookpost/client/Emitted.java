package dev.hookpost.client;

import dev.hookpost.v1.EmitEventResponse;

/**
 * An event that the server has committed.
 *
 * @param eventId its identity
 * @param deliveryCount webhooks that it goes to
 * @param duplicate the idempotency key was known, and {@code eventId} is the first event
 */
public record Emitted(String eventId, int deliveryCount, boolean duplicate) {
  static Emitted of(EmitEventResponse response) {
    return new Emitted(response.getEventId(), response.getDeliveryCount(), response.getDuplicate());
  }
}
