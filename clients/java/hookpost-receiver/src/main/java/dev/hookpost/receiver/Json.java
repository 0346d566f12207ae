package dev.hookpost.receiver;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A strict reader of JSON (RFC 8259), since the JDK has none. It also tells where each member of the object was. */
final class Json {
  private static final int MAX_DEPTH = 100; // Hookpost takes payloads of 64 levels
  private static final Pattern NUMBER = Pattern.compile("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]{1,9})?");

  private final String text;
  private int at;
  private int depth;

  private Json(String text) {
    this.text = text;
  }

  /** A member of the outermost object: its value, the value's text, and the text of name and value. */
  record Member(Object value, String source, String text) {}

  /** The members of an object. Throws IllegalArgumentException for every other text. */
  static Map<String, Member> object(String text) {
    Json json = new Json(text);
    Map<String, Member> members = new LinkedHashMap<>();
    json.space();
    json.members((name, start, value, from) ->
        members.put(name, new Member(value, text.substring(from, json.at), text.substring(start, json.at))));
    json.space();
    if (json.at < text.length()) {
      throw json.wrong();
    }
    return members;
  }

  private interface Taker {
    void take(String name, int start, Object value, int from);
  }

  private void members(Taker taker) {
    list('{', '}', () -> {
      int start = at;
      String name = string();
      space();
      expect(':');
      space();
      int from = at;
      taker.take(name, start, value(), from);
    });
  }

  private void list(char open, char close, Runnable item) {
    expect(open);
    if (++depth > MAX_DEPTH) {
      throw new IllegalArgumentException("nested too deeply");
    }
    space();
    if (peek() != close) {
      while (true) {
        item.run();
        space();
        if (peek() != ',') {
          break;
        }
        at++;
        space();
      }
    }
    expect(close);
    depth--;
  }

  private Object value() {
    return switch (peek()) {
      case '{' -> {
        Map<String, Object> object = new LinkedHashMap<>();
        members((name, start, value, from) -> object.put(name, value));
        yield object;
      }
      case '[' -> {
        List<Object> array = new ArrayList<>();
        list('[', ']', () -> array.add(value()));
        yield array;
      }
      case '"' -> string();
      case 't' -> word("true", () -> true);
      case 'f' -> word("false", () -> false);
      case 'n' -> word("null", () -> null);
      default -> number();
    };
  }

  private Object word(String word, Supplier<Object> meaning) {
    if (!text.startsWith(word, at)) {
      throw wrong();
    }
    at += word.length();
    return meaning.get();
  }

  private BigDecimal number() {
    Matcher found = NUMBER.matcher(text).region(at, text.length());
    if (!found.lookingAt()) {
      throw wrong();
    }
    at = found.end();
    return new BigDecimal(found.group());
  }

  private String string() {
    expect('"');
    StringBuilder made = new StringBuilder();
    while (peek() != '"') {
      char each = peek();
      if (each < ' ') {
        throw wrong();
      }
      at++;
      made.append(each == '\\' ? escaped() : each);
    }
    at++;
    return made.toString();
  }

  private char escaped() {
    char each = peek();
    at++;
    return switch (each) {
      case '"', '\\', '/' -> each;
      case 'b' -> '\b';
      case 'f' -> '\f';
      case 'n' -> '\n';
      case 'r' -> '\r';
      case 't' -> '\t';
      case 'u' -> unicode();
      default -> throw wrong();
    };
  }

  private char unicode() {
    int code = 0;
    for (int digit = 0; digit < 4; digit++, at++) {
      char each = peek();
      int value = each < 128 ? Character.digit(each, 16) : -1;
      if (value < 0) {
        throw wrong();
      }
      code = code * 16 + value;
    }
    return (char) code;
  }

  private void space() {
    while (at < text.length() && " \t\n\r".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
  }

  private void expect(char wanted) {
    if (peek() != wanted) {
      throw wrong();
    }
    at++;
  }

  private char peek() {
    if (at >= text.length()) {
      throw new IllegalArgumentException("the JSON ends too soon");
    }
    return text.charAt(at);
  }

  private IllegalArgumentException wrong() {
    return new IllegalArgumentException("no JSON object at character " + at);
  }
}
