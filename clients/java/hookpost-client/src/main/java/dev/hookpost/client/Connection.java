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
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/** Where Hookpost is and how it is spoken to; what is empty comes from the environment. */
record Connection(String address, String apiKey, String caFile, boolean insecure, UnaryOperator<String> environment) {
  private static final String DEFAULT_ADDRESS = "127.0.0.1:50051";
  private static final Pattern ADDRESS = Pattern.compile("(.+):\\d+");
  private static final Pattern LOOPBACK =
      Pattern.compile("localhost|127(\\.\\d{1,3}){3}|\\[::1\\]", Pattern.CASE_INSENSITIVE);
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  /** A channel; it connects at the first call. */
  ManagedChannel open() {
    return NettyChannelBuilder.forTarget("dns:///" + target(), credentials())
        .defaultServiceConfig(serviceConfig())
        .enableRetry()
        .intercept(authorization())
        .userAgent("hookpost-java/" + version())
        // As often as the server allows, and only while a call is under way.
        .keepAliveTime(30, TimeUnit.SECONDS)
        .keepAliveTimeout(15, TimeUnit.SECONDS)
        .build();
  }

  String target() {
    String given = or(address, "HOOKPOST_ADDRESS");
    String target = given.isEmpty() ? DEFAULT_ADDRESS : given;
    if (!ADDRESS.matcher(target).matches()) {
      throw new IllegalArgumentException("address \"" + target + "\": must be host:port");
    }
    return target;
  }

  /** TLS everywhere but on loopback, unless told otherwise. */
  ChannelCredentials credentials() {
    if (insecure && !caFile.isEmpty()) {
      throw new IllegalArgumentException("caFile and insecure exclude each other");
    }
    String authorities = or(caFile, "HOOKPOST_CA_FILE");
    String host = target().substring(0, target().lastIndexOf(':'));
    if (insecure || authorities.isEmpty() && LOOPBACK.matcher(host).matches()) {
      return InsecureChannelCredentials.create();
    }
    if (authorities.isEmpty()) {
      return TlsChannelCredentials.create();
    }
    try {
      return TlsChannelCredentials.newBuilder().trustManager(new File(authorities)).build();
    } catch (IOException error) {
      throw new UncheckedIOException("CA file " + authorities, error);
    }
  }

  Metadata metadata() {
    Metadata metadata = new Metadata();
    String key = or(apiKey, "HOOKPOST_API_KEY");
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

  /** The copy of proto/service_config.json that the build puts beside this class. Gson's numbers are doubles, as gRPC wants. */
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
