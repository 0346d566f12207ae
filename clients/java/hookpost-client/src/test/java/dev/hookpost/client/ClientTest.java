package dev.hookpost.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.hookpost.v1.GetEventRequest;
import dev.hookpost.v1.ListWebhooksRequest;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class ClientTest {
  private final String tenant = "java-" + UUID.randomUUID().toString().substring(0, 8);

  /** A server that the tests of the whole project start. */
  private static String server(String variable) {
    String address = System.getenv(variable);
    assumeTrue(address != null, variable + " is not set; run `make test-long ARGS=tests/clients`");
    return address;
  }

  private static HookpostClient client(String address) {
    return HookpostClient.builder().address(address).build();
  }

  @TestFactory
  Stream<DynamicTest> calls() throws IOException {
    String text = Files.readString(Path.of("../../conformance/calls.json"));
    return JsonParser.parseString(text).getAsJsonObject().getAsJsonArray("cases").asList().stream()
        .map(JsonElement::getAsJsonObject)
        .map(each -> dynamicTest(each.get("name").getAsString(), () -> call(each)));
  }

  /** With a client of its own: failures throttle a channel's retries. */
  private static void call(JsonObject each) {
    try (HookpostClient client = client(server("HOOKPOST_TEST_SCRIPTED"))) {
      JsonObject expect = each.getAsJsonObject("expect");
      String type = each.get("type").getAsString();
      if (expect.get("code").getAsString().equals("OK")) {
        assertEquals(expect.get("duplicate").getAsBoolean(), client.emit(type, Map.of("n", 1)).duplicate());
        return;
      }
      HookpostException failure = assertThrows(HookpostException.class, () -> client.emit(type, Map.of("n", 1)));
      assertEquals(expect.get("code").getAsString(), failure.code().name());
      assertEquals(expect.get("reason").getAsString(), failure.reason());
      assertEquals(expect.get("retryable").getAsBoolean(), failure.retryable());
      List<FieldViolation> violations = new ArrayList<>();
      if (expect.has("violations")) {
        for (JsonElement one : expect.getAsJsonArray("violations")) {
          JsonObject violation = one.getAsJsonObject();
          violations.add(
              new FieldViolation(violation.get("field").getAsString(), violation.get("description").getAsString()));
        }
      }
      assertEquals(violations, failure.violations());
      assertFalse(failure.idempotencyKey().isEmpty());
    }
  }

  @Test
  void againstAServer() {
    try (HookpostClient client = client(server("HOOKPOST_TEST_ADDRESS"))) {
      Instant moment = Instant.parse("2026-08-21T10:00:00Z");
      String exact = "{\"n\": 1.0, \"html\": \"<a&b>\"}";
      Event event = Event.of("User.Created", exact).tenantId(tenant).idempotencyKey("order-7").occurTime(moment);
      Emitted first = client.emit(event);
      assertFalse(first.duplicate());
      Event again = new Event("User.Created", exact.getBytes(StandardCharsets.UTF_8), tenant, "order-7", moment);
      assertEquals(new Emitted(first.eventId(), 0, true), client.emit(again, Duration.ofSeconds(5)));
      GetEventRequest get = GetEventRequest.newBuilder().setEventId(first.eventId()).setTenantId(tenant).build();
      var stored = client.events().getEvent(get).getEvent();
      assertEquals(exact, stored.getJson());
      assertEquals(moment.getEpochSecond(), stored.getOccurTime().getSeconds());

      List<Event> batch = new ArrayList<>(
          List.of(Event.of("User.Created", Map.of()).tenantId(tenant), Event.of("User.Deleted", Map.of())));
      assertEquals(2, client.emitBatch(batch).stream().map(Emitted::eventId).distinct().count());
      batch.add(Event.of("No.Such", Map.of()));
      HookpostException unknown = assertThrows(HookpostException.class, () -> client.emitBatch(batch));
      assertEquals("EVENT_TYPE_UNKNOWN", unknown.reason());
      HookpostException wrong = assertThrows(HookpostException.class, () -> client.emit("User.Created", List.of(1)));
      assertEquals(1, wrong.violations().size());
      assertFalse(wrong.retryable());
      StatusRuntimeException raw = assertThrows(StatusRuntimeException.class, () -> client.webhooks().listWebhooks(
          ListWebhooksRequest.newBuilder().setPageToken("rubbish").build()));
      assertEquals("FIELD_INVALID", HookpostException.of(raw).reason());
    }
  }

  @Test
  void whatIsNoJson() {
    try (HookpostClient client = client("127.0.0.1:1")) {
      for (Object payload : List.of(new byte[] {(byte) 0xff}, Map.of("n", Double.NaN), String.class)) {
        HookpostException failure =
            assertThrows(HookpostException.class, () -> client.emit("User.Created", payload));
        assertEquals("FIELD_INVALID", failure.reason());
      }
    }
  }

  @Test
  void theEmitter() {
    try (HookpostClient client = client(server("HOOKPOST_TEST_ADDRESS")); Emitter emitter = client.emitter(50)) {
      List<CompletableFuture<Emitted>> emitting = new ArrayList<>();
      for (int n = 0; n < 500; n++) {
        emitting.add(emitter.emitAsync(Event.of("User.Created", Map.of("n", n)).tenantId(tenant)));
      }
      HookpostException unknown =
          assertThrows(HookpostException.class, () -> emitter.emit(Event.of("No.Such", Map.of()).tenantId(tenant)));
      assertEquals("EVENT_TYPE_UNKNOWN", unknown.reason());
      assertEquals(Status.Code.NOT_FOUND, unknown.code());
      Set<String> ids = new HashSet<>();
      emitting.forEach(each -> ids.add(each.join().eventId()));
      assertEquals(500, ids.size());
      emitter.close();
      HookpostException closed =
          assertThrows(HookpostException.class, () -> emitter.emit(Event.of("User.Created", Map.of())));
      assertEquals(Status.Code.CANCELLED, closed.code());
    }
  }

  @Test
  void nobodyThereWithinTheTime() throws IOException {
    int port;
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = taken.getLocalPort();
    }
    // Longer than five attempts last: who does not wait for the server is UNAVAILABLE by then.
    HookpostClient.Builder settings = HookpostClient.builder().address("127.0.0.1:" + port);
    try (HookpostClient client = settings.timeout(Duration.ofMillis(2500)).build(); Emitter emitter = client.emitter()) {
      Event event = Event.of("User.Created", Map.of()).idempotencyKey("k");
      HookpostException batch = assertThrows(HookpostException.class, () -> client.emitBatch(List.of(event)));
      assertEquals(Status.Code.DEADLINE_EXCEEDED, batch.code());
      for (Function<Event, Emitted> emit : List.<Function<Event, Emitted>>of(client::emit, emitter::emit)) {
        HookpostException failure = assertThrows(HookpostException.class, () -> emit.apply(event));
        assertEquals(Status.Code.DEADLINE_EXCEEDED, failure.code());
        assertTrue(failure.retryable());
        assertEquals("k", failure.idempotencyKey());
      }
    }
  }

  @Test
  void tlsAndTheApiKey() {
    String address = server("HOOKPOST_TEST_TLS");
    HookpostClient.Builder settings = HookpostClient.builder().address(address).apiKey("k1");
    settings.caFile(System.getenv("HOOKPOST_TEST_CA_FILE"));
    try (HookpostClient client = settings.build(); Emitter emitter = client.emitter()) {
      assertEquals("evt_1", client.emit("A.B", Map.of()).eventId());
      assertEquals("evt_1", emitter.emit(Event.of("A.B", Map.of())).eventId());
    }
  }

  @Test
  void aStreamThatBreaks() {
    HookpostClient.Builder settings = HookpostClient.builder().address(server("HOOKPOST_TEST_TLS")).apiKey("k1");
    settings.caFile(System.getenv("HOOKPOST_TEST_CA_FILE"));
    try (HookpostClient client = settings.build(); Emitter emitter = client.emitter()) {
      List<CompletableFuture<Emitted>> emitting = new ArrayList<>();
      for (int n = 0; n < 10; n++) {
        emitting.add(emitter.emitAsync(Event.of("Conformance.Broken", Map.of("n", n))));
      }
      emitting.forEach(each -> assertEquals("evt_1", each.join().eventId()));
      Event stranger = Event.of("Conformance.Stranger", Map.of());
      HookpostException failure = assertThrows(HookpostException.class, () -> emitter.emit(stranger));
      assertEquals(Status.Code.UNAUTHENTICATED, failure.code());
    }
  }
}
