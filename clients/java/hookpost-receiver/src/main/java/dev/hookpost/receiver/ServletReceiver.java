package dev.hookpost.receiver;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ReadListener;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletInputStream;
import jakarta.servlet.http.HttpFilter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A servlet filter, for Spring and every container: lets verified requests alone through, with the event as the
 * request's attribute {@link #EVENT}. What follows may read the body once more.
 *
 * <p>In Spring: a {@code FilterRegistrationBean} with the webhook's URL pattern and {@code Ordered.HIGHEST_PRECEDENCE},
 * so that nothing reads the body before; in the controller
 * {@code @RequestAttribute(ServletReceiver.EVENT) Event event}.
 */
public final class ServletReceiver extends HttpFilter {
  /** The name of the request's attribute. */
  public static final String EVENT = "dev.hookpost.event";

  private static final long serialVersionUID = 1;

  private final transient Receiver receiver;

  public ServletReceiver(Receiver receiver) {
    this.receiver = receiver;
  }

  @Override
  protected void doFilter(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
      throws IOException, ServletException {
    Event event;
    try {
      event = receiver.verify(body(request), headers(request));
    } catch (InvalidWebhookException refusal) {
      response.setStatus(refusal.reason().status());
      response.setContentType("text/plain; charset=utf-8");
      response.getWriter().write(refusal.getMessage());
      return;
    }
    request.setAttribute(EVENT, event);
    chain.doFilter(new Kept(request, event.body()), response);
  }

  private byte[] body(HttpServletRequest request) {
    byte[] body;
    try {
      body = request.getInputStream().readNBytes(receiver.maxSize() + 1);
    } catch (IllegalStateException error) {
      throw InvalidWebhookException.parsed("something else has called getReader()");
    } catch (IOException error) {
      throw new InvalidWebhookException(Reason.MALFORMED, "the body broke off");
    }
    if (body.length == 0 && request.getContentLengthLong() > 0) {
      throw InvalidWebhookException.parsed("something else has read the request");
    }
    return body;
  }

  private static Map<String, List<String>> headers(HttpServletRequest request) {
    Map<String, List<String>> headers = new HashMap<>();
    for (String name : Collections.list(request.getHeaderNames())) {
      headers.put(name, Collections.list(request.getHeaders(name)));
    }
    return headers;
  }

  /** A request whose body can be read again. */
  private static final class Kept extends HttpServletRequestWrapper {
    private final byte[] body;

    Kept(HttpServletRequest request, byte[] body) {
      super(request);
      this.body = body;
    }

    @Override
    public ServletInputStream getInputStream() {
      ByteArrayInputStream bytes = new ByteArrayInputStream(body);
      return new ServletInputStream() {
        @Override
        public int read() {
          return bytes.read();
        }

        @Override
        public boolean isFinished() {
          return bytes.available() == 0;
        }

        @Override
        public boolean isReady() {
          return true;
        }

        @Override
        public void setReadListener(ReadListener listener) {
          throw new UnsupportedOperationException("the body is here already: read it");
        }
      };
    }

    @Override
    public BufferedReader getReader() {
      return new BufferedReader(new InputStreamReader(getInputStream(), StandardCharsets.UTF_8));
    }
  }
}
