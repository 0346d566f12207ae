package dev.hookpost.receiver;

import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** Finds headers whatever the case of their names; "" where there is none. */
record HeaderReader(Map<String, String> values) {
  static HeaderReader of(Map<String, ? extends Collection<String>> headers) {
    Map<String, String> values = new TreeMap<>();
    if (headers != null) {
      headers.forEach(
          (name, all) -> {
            if (name != null && all != null) {
              all.stream().filter(Objects::nonNull).findFirst().ifPresent(value -> values.put(lower(name), value));
            }
          });
    }
    return new HeaderReader(values);
  }

  String get(String name) {
    return values.getOrDefault(lower(name), "");
  }

  private static String lower(String name) {
    return name.toLowerCase(Locale.ROOT);
  }
}
