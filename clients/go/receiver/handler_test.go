package receiver

import (
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const body = `{"event":"User.Created","createdAt":"2026-08-21T10:00:00.000Z","id":"u1","hookId":"whk_1"}`

func post(t *testing.T, handler http.Handler, body, key string) (int, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	request, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(DefaultHexHeader, hex.EncodeToString(sign([]byte(key), []byte(body))))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func TestHandler(t *testing.T) {
	receiver := Receiver{Keys: []string{"a key"}, Scheme: Hex, MaxSize: 200}
	fine := receiver.Handler(func(_ *http.Request, event *Event) error {
		if event.Type != "User.Created" || string(event.Data) != `{"id":"u1"}` || string(event.Body) != body {
			return errors.New("not the event")
		}
		return nil
	})
	failing := receiver.Handler(func(*http.Request, *Event) error { return errors.New("secret") })
	parsing := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		fine.ServeHTTP(w, request)
	})
	cutting := http.MaxBytesHandler(fine, 10)
	for name, each := range map[string]struct {
		handler   http.Handler
		body, key string
		status    int
		text      string
	}{
		"fine":             {fine, body, "a key", 204, ""},
		"another's key":    {fine, body, "another", 401, "bad_signature"},
		"too large":        {fine, body + strings.Repeat(" ", 200), "a key", 413, "too_large"},
		"cut by a server":  {cutting, body, "a key", 413, "too_large"},
		"not JSON":         {fine, "[1]", "a key", 400, "malformed"},
		"parsed before":    {parsing, body, "a key", 500, "the body was parsed before verification"},
		"no key":           {Receiver{Scheme: Hex}.Middleware(fine), body, "a key", 500, "no_key"},
		"handling failed":  {failing, body, "a key", 500, "could not be handled"},
		"nothing was sent": {fine, "", "a key", 400, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := post(t, each.handler, each.body, each.key)
			if status != each.status || !strings.Contains(text, each.text) || strings.Contains(text, "secret") {
				t.Fatalf("%d %q", status, text)
			}
		})
	}
}

func TestNoInputPanics(t *testing.T) {
	receivers := []Receiver{{Keys: []string{"a key"}}, {Keys: []string{"a key"}, Scheme: Hex}, {}}
	headers := []http.Header{
		nil, {}, {"webhook-id": nil}, {"Webhook-Id": {}, "Webhook-Timestamp": {"\xff"}, "Webhook-Signature": {"v1,\xff"}},
	}
	deep := `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	for _, receiver := range receivers {
		for _, header := range headers {
			for _, body := range []string{"", "\xff", "{", deep} {
				if _, err := receiver.Verify([]byte(body), header); err == nil {
					t.Fatalf("%q was taken", body)
				}
			}
		}
		if _, err := receiver.VerifyRequest(&http.Request{}); err == nil {
			t.Fatal("an empty request was taken")
		}
	}
	signed := http.Header{DefaultHexHeader: {hex.EncodeToString(sign([]byte("a key"), []byte(deep)))}}
	_, err := receivers[1].Verify([]byte(deep), signed)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Reason != Malformed {
		t.Fatal(err)
	}
}
