package dev.hookpost.client;

import com.google.gson.Gson;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where Hookpost is and how it is spoken to; what is empty comes from the environment. */
record Connection(
    String address,
    String apiKey,
    String caFile,
    String certFile,
    String keyFile,
    String serverName,
    boolean insecure,
    UnaryOperator<String> environment) {
  private static final String DEFAULT_ADDRESS = "127.0.0.1:50051";
  private static final Pattern ADDRESS = Pattern.compile("(https://|http://)?((.+):\\d+)/*");
  private static final Pattern LOOPBACK =
      Pattern.compile("localhost|127(\\.\\d{1,3}){3}|\\[::1\\]", Pattern.CASE_INSENSITIVE);
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** A channel; it connects at the first call. */
  ManagedChannel open() {
    NettyChannelBuilder builder =
        NettyChannelBuilder.forTarget("dns:///" + target(), credentials())
            .defaultServiceConfig(serviceConfig())
            .enableRetry()
            .intercept(authorization())
            .userAgent("hookpost-java/" + version())
            // As often as the server allows, and only while a call is under way.
            .keepAliveTime(30, TimeUnit.SECONDS)
            .keepAliveTimeout(15, TimeUnit.SECONDS);
    return (serverName.isEmpty() ? builder : builder.overrideAuthority(serverName)).build();
  }

  String target() {
    return parsed().group(2);
  }

  private Matcher parsed() {
    String given = or(address, "HOOKPOST_ADDRESS");
    Matcher parsed = ADDRESS.matcher(given.isEmpty() ? DEFAULT_ADDRESS : given);
    if (!parsed.matches()) {
      throw new IllegalArgumentException("address \"" + given + "\": must be host:port");
    }
    return parsed;
  }

  /** TLS as the address says it, else everywhere but on loopback. */
  ChannelCredentials credentials() {
    Matcher parsed = parsed();
    boolean local = LOOPBACK.matcher(parsed.group(3)).matches();
    if ("https://".equals(parsed.group(1)) || parsed.group(1) == null && !local) {
      return secured();
    }
    if (!key().isEmpty() && !local && !insecure) {
      throw new IllegalArgumentException(
          "the API key would go to " + target() + " without TLS: say https://, or insecure() if the way is safe");
    }
    return InsecureChannelCredentials.create();
  }

  private ChannelCredentials secured() {
    String authorities = or(caFile, "HOOKPOST_CA");
    String certificate = or(certFile, "HOOKPOST_CLIENT_CERT");
    String key = or(keyFile, "HOOKPOST_CLIENT_KEY");
    if (certificate.isEmpty() != key.isEmpty()) {
      throw new IllegalArgumentException("certFile and keyFile belong together");
    }
    try {
      TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
      if (!authorities.isEmpty()) {
        builder.trustManager(new File(authorities));
      }
      if (!certificate.isEmpty()) {
        builder.keyManager(new File(certificate), new File(key));
      }
      return builder.build();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** The API key; empty where there is none. */
  private String key() {
    String key = or(apiKey, "HOOKPOST_API_KEY").trim();
    String file = or("", "HOOKPOST_API_KEY_FILE");
    try {
      return key.isEmpty() && !file.isEmpty() ? Files.readString(Path.of(file)).trim() : key;
    } catch (IOException error) {
      throw new UncheckedIOException("HOOKPOST_API_KEY_FILE", error);
    }
  }

  Metadata metadata() {
    Metadata metadata = new Metadata();
    String key = key();
    if (!key.isEmpty()) {
      metadata.put(AUTHORIZATION, "Bearer " + key);
    }
    return metadata;
  }

  /** gRPC's own call credentials refuse channels without TLS. */
  private ClientInterceptor authorization() {
    return MetadataUtils.newAttachHeadersInterceptor(metadata());
  }

  private String or(String given, String variable) {
    return given.isEmpty() ? Objects.requireNonNullElse(environment.apply(variable), "") : given;
  }

  /** The copy of proto/service_config.json that the build puts here. Gson's numbers are doubles, as gRPC wants them. */
  @SuppressWarnings("unchecked")
  static Map<String, ?> serviceConfig() {
    try (Reader reader = new InputStreamReader(resource("service_config.json"), StandardCharsets.UTF_8)) {
      return new Gson().fromJson(reader, Map.class);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static String version() {
    Properties properties = new Properties();
    try (InputStream stream = resource("version.properties")) {
      properties.load(stream);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return properties.getProperty("version");
  }

  private static InputStream resource(String name) {
    return Connection.class.getResourceAsStream(name);
  }
}
