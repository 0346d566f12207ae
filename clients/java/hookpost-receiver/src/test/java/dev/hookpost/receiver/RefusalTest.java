package dev.hookpost.receiver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Whatever comes in, nothing but InvalidWebhookException comes out. */
class RefusalTest {
  private static final String DEEP = "{\"a\":" + "[".repeat(100_000) + "]".repeat(100_000) + "}";

  @Test
  void oddInput() {
    List<Map<String, List<String>>> headers = new ArrayList<>(Arrays.asList(null, Map.of()));
    for (String value :
        List.of("", "\u0000", "ÿ", "\ud800", "v1,\ud800", "9".repeat(500), "v1,".repeat(500), " , ,")) {
      for (String timestamp : List.of("1", value)) {
        headers.add(Map.of("webhook-id", List.of(value), "webhook-timestamp", List.of(timestamp),
            "webhook-signature", List.of(value), Receiver.DEFAULT_HEADER, List.of(value)));
      }
    }
    Map<String, List<String>> nulls = new HashMap<>(Map.of("webhook-id", Collections.singletonList(null)));
    nulls.put(null, List.of("a status line"));
    nulls.put("webhook-timestamp", null);
    headers.add(nulls);
    for (Map<String, List<String>> each : headers) {
      for (byte[] body : new byte[][] {null, {}, {(byte) 0xff}, "{".getBytes(), DEEP.getBytes()}) {
        for (String[] keys : new String[][] {{"a key"}, {"whsec_AAAA"}, {}, {null}, {"whsec_!"}}) {
          for (Receiver receiver : List.of(Receiver.of(keys), Receiver.of(keys).hex(Receiver.DEFAULT_HEADER))) {
            assertThrows(InvalidWebhookException.class, () -> receiver.verify(body, each));
          }
        }
      }
    }
  }

  @Test
  void whatIsSignedButNoEvent() {
    for (String body : List.of(DEEP, "", " ", "null", "[1]", "\"a\"", "{\"a\":1}x", "{\"a\":01}", "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":NaN}", "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u00g0\"}", "{\"a\":\"\\u00",
        "{\"a\" 1}", "{\"a\":1,}",
        "{a:1}", "{\"a\":tru}", "{\"a\":[1,]}", "{\"a\":[1}", "{,}", "\ufeff{}", "{\"a\":1e}",
        "{\"a\":1e9999999999}")) {
      InvalidWebhookException refusal = assertThrows(InvalidWebhookException.class, () -> take(body), body);
      assertEquals(Reason.MALFORMED, refusal.reason());
    }
  }

  @Test
  void whatIsRead() {
    String odd = "\"\\u00e9\\n\\\"\\/\\ud83d\\ude00\"";
    Event event = take(" { \"a\" : [ 1 , -0.5e+3 , true , false , null , { } , [ ] ] , \"b\" : " + odd + " } ");
    assertEquals("[1, -5E+2, true, false, null, {}, []]", event.data().get("a").toString());
    assertEquals("é\n\"/😀", event.data().get("b"));
    assertEquals("{}", take("{\"type\":1,\"timestamp\":2,\"data\":3}").json());
    assertEquals("{\"n\":1.00}", take("{\"event\":\"A\",\"createdAt\":\"\",\"n\":1.00,\"hookId\":\"w\"}").json());
  }

  static Event take(String text) {
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    String signature = Signatures.hex("a key", body);
    return Receiver.of("a key").hex("x").verify(body, Map.of("X", List.of(signature)));
  }
}
