package dev.hookpost.receiver;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** The vectors that every language runs. */
class ConformanceTest {
  private static final Gson GSON = new Gson();

  static Stream<JsonObject> cases(String name) throws IOException {
    String text = Files.readString(Path.of("../../conformance", name + ".json"));
    return JsonParser.parseString(text).getAsJsonObject().getAsJsonArray("cases").asList().stream()
        .map(JsonElement::getAsJsonObject);
  }

  private static Receiver receiver(JsonObject each) {
    String[] keys = each.getAsJsonArray("keys").asList().stream().map(JsonElement::getAsString).toArray(String[]::new);
    Instant now = Instant.ofEpochSecond(each.get("now").getAsLong());
    Receiver receiver =
        Receiver.of(keys)
            .tolerance(Duration.ofSeconds(each.get("tolerance").getAsLong()))
            .clock(Clock.fixed(now, ZoneOffset.UTC));
    if (each.get("scheme").getAsString().equals("hex")) {
      receiver = receiver.hex(each.get("header").getAsString());
    }
    return each.has("max_size") ? receiver.maxSize(each.get("max_size").getAsInt()) : receiver;
  }

  private static Map<String, List<String>> headers(JsonObject each) {
    Map<String, List<String>> headers = new HashMap<>();
    each.getAsJsonObject("headers").asMap().forEach((name, value) -> headers.put(name, List.of(value.getAsString())));
    return headers;
  }

  @TestFactory
  Stream<DynamicTest> verification() throws IOException {
    return cases("verification").map(each -> dynamicTest(each.get("name").getAsString(), () -> {
      byte[] body = Base64.getDecoder().decode(each.get("body_base64").getAsString());
      JsonObject expect = each.getAsJsonObject("expect");
      if (expect.has("event")) {
        Event event = receiver(each).verify(body, headers(each));
        assertEquals(expect.get("event"), told(event));
        assertEquals(expect.getAsJsonObject("event").get("data"), JsonParser.parseString(event.json()));
        assertArrayEquals(body, event.body());
      } else {
        InvalidWebhookException refusal =
            assertThrows(InvalidWebhookException.class, () -> receiver(each).verify(body, headers(each)));
        assertEquals(expect.get("reason").getAsString(), refusal.reason().toString());
        for (String key : receiver(each).keys()) {
          assertFalse(!key.isEmpty() && refusal.getMessage().contains(key));
        }
      }
    }));
  }

  /** An event as the vectors write it. */
  private static JsonObject told(Event event) {
    JsonObject told = new JsonObject();
    told.addProperty("id", event.id());
    told.addProperty("type", event.type());
    told.add("data", JsonParser.parseString(new Gson().newBuilder().serializeNulls().create().toJson(event.data())));
    told.addProperty("timestamp", event.timestamp() == null ? null : event.timestamp().getEpochSecond());
    told.addProperty("occur_time", event.occurTime() == null ? null : event.occurTime().getEpochSecond());
    told.addProperty("attempt", event.attempt().isPresent() ? event.attempt().getAsInt() : null);
    told.addProperty("delivery_id", event.deliveryId());
    return told;
  }

  @TestFactory
  Stream<DynamicTest> signing() throws IOException {
    return cases("signing").map(each -> dynamicTest(GSON.toJson(each.get("body")), () -> {
      byte[] body = each.get("body").getAsString().getBytes(StandardCharsets.UTF_8);
      List<String> keys = new ArrayList<>(List.of(each.get("key").getAsString()));
      Map<String, List<String>> headers = Map.of(
          "webhook-id", List.of(each.get("id").getAsString()),
          "webhook-timestamp", List.of(each.get("timestamp").getAsString()),
          "webhook-signature", List.of(each.get("standard").getAsString()),
          "hex", List.of(each.get("hex").getAsString()));
      Signature.checkStandard(body, HeaderReader.of(headers), keys);
      Signature.checkHex(body, HeaderReader.of(headers), keys, "hex");
    }));
  }
}
