package dev.hookpost.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ConnectionTest {
  private static Connection to(String address, String caFile, boolean insecure) {
    return new Connection(address, "", caFile, insecure, name -> null);
  }

  @Test
  void tlsEverywhereButOnLoopback() {
    for (String address : List.of("hookpost.internal:443", "10.0.0.1:50051", "[2001:db8::1]:1", "127.evil.example:1")) {
      assertInstanceOf(TlsChannelCredentials.class, to(address, "", false).credentials(), address);
      assertInstanceOf(InsecureChannelCredentials.class, to(address, "", true).credentials(), address);
    }
    for (String address : List.of("localhost:1", "127.9.9.9:50051", "[::1]:1", "")) {
      assertInstanceOf(InsecureChannelCredentials.class, to(address, "", false).credentials(), address);
    }
    for (Connection wrong : List.of(to("host", "", false), to("", "/no/such", false), to("", "x", true))) {
      assertThrows(RuntimeException.class, wrong::open);
    }
  }

  @Test
  void settingsFromTheEnvironment() {
    Map<String, String> environment = Map.of("HOOKPOST_ADDRESS", "hookpost.internal:443", "HOOKPOST_API_KEY", "theirs");
    Metadata.Key<String> name = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    Connection unset = new Connection("", "", "", false, environment::get);
    assertEquals("hookpost.internal:443", unset.target());
    assertEquals("Bearer theirs", unset.metadata().get(name));
    Connection given = new Connection("other:1", "ours", "", false, environment::get);
    assertEquals("other:1", given.target());
    assertEquals("Bearer ours", given.metadata().get(name));
    assertTrue(to("", "", false).metadata().keys().isEmpty());
  }

  @Test
  void theServiceConfigIsEmbedded() {
    assertTrue(Connection.serviceConfig().containsKey("methodConfig"));
  }
}
