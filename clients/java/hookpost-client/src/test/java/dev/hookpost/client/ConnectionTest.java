package dev.hookpost.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConnectionTest {
  private static Connection to(String address, String apiKey, String caFile, String certFile, boolean insecure) {
    return new Connection(address, apiKey, caFile, certFile, "", "", insecure, name -> null);
  }

  private static Connection to(String address) {
    return to(address, "", "", "", false);
  }

  @Test
  void tlsEverywhereButOnLoopback() {
    for (String address :
        List.of("a.example:443", "10.0.0.1:1", "[2001:db8::1]:1", "127.evil.example:1", "https://localhost:1")) {
      assertInstanceOf(TlsChannelCredentials.class, to(address).credentials(), address);
    }
    for (String address : List.of("localhost:1", "127.9.9.9:50051", "[::1]:1", "", "http://10.0.0.1:1/")) {
      assertInstanceOf(InsecureChannelCredentials.class, to(address).credentials(), address);
    }
    assertEquals("10.0.0.1:1", to("http://10.0.0.1:1/").target());
    assertInstanceOf(
        InsecureChannelCredentials.class, to("http://10.0.0.1:1", "k", "", "", true).credentials());
    for (Connection wrong : List.of(
        to("host"),
        to("http://10.0.0.1:1", "k", "", "", false),
        to("a:1", "", "/no/such", "", false),
        to("a:1", "", "", "x", false))) {
      assertThrows(RuntimeException.class, wrong::open);
    }
  }

  @Test
  void settingsFromTheEnvironment(@TempDir Path directory) throws IOException {
    Path file = Files.writeString(directory.resolve("key"), "from-a-file\n");
    Map<String, String> environment = new HashMap<>(
        Map.of("HOOKPOST_ADDRESS", "hookpost.internal:443", "HOOKPOST_API_KEY_FILE", file.toString()));
    Metadata.Key<String> name = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    Connection unset = new Connection("", "", "", "", "", "", false, environment::get);
    assertEquals("hookpost.internal:443", unset.target());
    assertEquals("Bearer from-a-file", unset.metadata().get(name));
    environment.put("HOOKPOST_API_KEY", "theirs");
    assertEquals("Bearer theirs", unset.metadata().get(name));
    Connection given = new Connection("other:1", "ours", "", "", "", "", false, environment::get);
    assertEquals("other:1", given.target());
    assertEquals("Bearer ours", given.metadata().get(name));
    assertTrue(to("").metadata().keys().isEmpty());
  }

  @Test
  void theServiceConfigIsEmbedded() {
    assertTrue(Connection.serviceConfig().containsKey("methodConfig"));
  }
}
