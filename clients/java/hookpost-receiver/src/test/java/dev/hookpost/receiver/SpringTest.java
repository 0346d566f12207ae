package dev.hookpost.receiver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import jakarta.servlet.Filter;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.core.Ordered;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestAttribute;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** The filter in a real Spring application. */
class SpringTest {
  private static final String BODY =
      "{\"event\":\"User.Created\",\"createdAt\":\"2026-08-21T10:00:00.000Z\",\"n\":1.0,\"hookId\":\"whk_1\"}";
  private static ConfigurableApplicationContext application;

  @RestController
  @EnableAutoConfiguration
  static class Application {
    private final Receiver receiver = Receiver.of("a key").hex(Receiver.DEFAULT_HEADER).maxSize(1000);

    @PostMapping({"/hook", "/parsed", "/taken"})
    String hook(@RequestAttribute(ServletReceiver.EVENT) Event event, @RequestBody String body) {
      return event.type() + " " + body.equals(BODY);
    }

    @Bean
    FilterRegistrationBean<Filter> verifying() {
      return first(new ServletReceiver(receiver), Ordered.HIGHEST_PRECEDENCE + 1, "/hook", "/parsed", "/taken");
    }

    @Bean
    FilterRegistrationBean<Filter> parsing() {
      Filter eager = (request, response, chain) -> {
        request.getInputStream().readAllBytes();
        chain.doFilter(request, response);
      };
      return first(eager, Ordered.HIGHEST_PRECEDENCE, "/parsed");
    }

    @Bean
    FilterRegistrationBean<Filter> taking() {
      Filter eager = (request, response, chain) -> {
        request.getReader();
        chain.doFilter(request, response);
      };
      return first(eager, Ordered.HIGHEST_PRECEDENCE, "/taken");
    }

    private static FilterRegistrationBean<Filter> first(Filter filter, int order, String... patterns) {
      FilterRegistrationBean<Filter> registration = new FilterRegistrationBean<>(filter);
      registration.setOrder(order);
      registration.addUrlPatterns(patterns);
      return registration;
    }
  }

  @BeforeAll
  static void start() {
    application = SpringApplication.run(
        Application.class, "--server.port=0", "--server.address=127.0.0.1", "--spring.main.banner-mode=off",
        "--logging.level.root=warn");
  }

  @AfterAll
  static void stop() {
    application.close();
  }

  private static void check(String path, String body, String key, int status, String text)
      throws IOException, InterruptedException {
    URI uri = URI.create("http://127.0.0.1:" + application.getEnvironment().getProperty("local.server.port") + path);
    HttpRequest request = HttpRequest.newBuilder(uri)
        .header("content-type", "application/json")
        .header(Receiver.DEFAULT_HEADER, Signatures.hex(key, body.getBytes()))
        .POST(HttpRequest.BodyPublishers.ofString(body))
        .build();
    HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    assertEquals(status, answer.statusCode());
    assertTrue(answer.body().contains(text), answer.body());
  }

  @Test
  void answers() throws Exception {
    check("/hook", BODY, "a key", 200, "User.Created true");
    check("/hook", BODY, "another", 401, "bad_signature");
    check("/hook", BODY + " ".repeat(1000), "a key", 413, "too_large");
    check("/hook", "[1]", "a key", 400, "malformed");
    check("/hook", "", "a key", 400, "malformed");
    check("/parsed", BODY, "a key", 500, "the body was parsed before verification");
    check("/taken", BODY, "a key", 500, "the body was parsed before verification");
  }
}
