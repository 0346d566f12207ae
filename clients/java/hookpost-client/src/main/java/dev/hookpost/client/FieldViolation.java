package dev.hookpost.client;

/**
 * What is wrong with one field of the request.
 *
 * @param field a path such as {@code requests[2].json}
 * @param description for people
 */
public record FieldViolation(String field, String description) {}
