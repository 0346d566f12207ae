package dev.hookpost.receiver;

import java.time.Instant;
import java.util.Map;
import java.util.OptionalInt;

/**
 * An event, as signed. The same event may come twice: {@code id} tells, so keep the ids of the last days.
 *
 * @param id the same for every attempt
 * @param type from the signed body; empty where it does not say (payload format RAW)
 * @param data the payload without what the envelope adds: Map, List, String, BigDecimal, Boolean and null
 * @param json the payload as JSON text, for the reader of your choice
 * @param timestamp of this attempt; null by {@link Scheme#HEX}, which signs no time
 * @param occurTime when it happened; null where the body does not say
 * @param attempt from an unsigned header: for logs only
 * @param deliveryId from an unsigned header: for logs only; empty when it is not there
 * @param body exactly what was signed
 */
public record Event(
    String id,
    String type,
    Map<String, Object> data,
    String json,
    Instant timestamp,
    Instant occurTime,
    OptionalInt attempt,
    String deliveryId,
    byte[] body) {}
