package hookpost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"

	"github.com/hookpost/hookpost/clients/go/hookpostv1"
)

// address of a server that the tests of the whole project start; they set the variable.
func address(t *testing.T, variable string) string {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s is not set; run `make test-long ARGS=tests/clients`", variable)
	}
	return address
}

func connect(t *testing.T, config Config) *Client {
	t.Helper()
	client, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestCalls(t *testing.T) {
	scripted := address(t, "HOOKPOST_TEST_SCRIPTED")
	var vectors struct {
		Cases []struct {
			Name, Type string
			Expect     struct {
				Code, Reason string
				Retryable    bool
				Violations   []FieldViolation
			}
		}
	}
	content, err := os.ReadFile("../../conformance/calls.json")
	if err == nil {
		err = json.Unmarshal(content, &vectors)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range vectors.Cases {
		t.Run(each.Name, func(t *testing.T) {
			client := connect(t, Config{Address: scripted}) // its own: failures throttle a connection's retries
			_, err := client.Emit(t.Context(), Event{Type: each.Type, Payload: map[string]int{"n": 1}})
			if each.Expect.Code == "OK" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var code codes.Code
			_ = code.UnmarshalJSON([]byte(strconv.Quote(each.Expect.Code)))
			var failure *Error
			if !errors.As(err, &failure) || failure.Code != code || !IsReason(err, each.Expect.Reason) ||
				failure.Retryable() != each.Expect.Retryable || len(failure.Violations) != len(each.Expect.Violations) {
				t.Fatalf("%#v", err)
			}
			for i, violation := range each.Expect.Violations {
				if failure.Violations[i] != violation {
					t.Fatalf("%v", failure.Violations)
				}
			}
		})
	}
}

func TestAgainstAServer(t *testing.T) {
	client := connect(t, Config{Address: address(t, "HOOKPOST_TEST_ADDRESS")})
	tenant := "go-" + uuid.NewString()[:8]
	moment := time.Date(2026, 8, 21, 10, 0, 0, 0, time.UTC)
	exact := json.RawMessage(`{"n": 1.0, "html": "<a&b>"}`)
	event := Event{Type: "User.Created", Payload: exact, TenantID: tenant, IdempotencyKey: "order-7", OccurTime: moment}
	first, err := client.Emit(t.Context(), event)
	if err != nil || first.Duplicate {
		t.Fatal(first, err)
	}
	again, err := client.Emit(t.Context(), event)
	if err != nil || !again.Duplicate || again.EventID != first.EventID {
		t.Fatal(again, err)
	}
	get := &hookpostv1.GetEventRequest{EventId: first.EventID, TenantId: tenant}
	answer, err := client.Events.GetEvent(t.Context(), get)
	stored := answer.GetEvent()
	if err != nil || !stored.GetOccurTime().AsTime().Equal(moment) || stored.GetJson() != string(exact) {
		t.Fatal(answer, err)
	}
	batch := []Event{
		{Type: "User.Created", Payload: struct{}{}, TenantID: tenant}, {Type: "User.Deleted", Payload: map[string]any{}},
	}
	all, err := client.EmitBatch(t.Context(), batch)
	if err != nil || len(all) != 2 || all[0].EventID == all[1].EventID {
		t.Fatal(all, err)
	}
	batch[1].Type = "No.Such"
	if _, err = client.EmitBatch(t.Context(), batch); !IsReason(err, "EVENT_TYPE_UNKNOWN") {
		t.Fatal(err)
	}
	_, err = client.Emit(t.Context(), Event{Type: "User.Created", Payload: []int{1}, TenantID: tenant})
	failure := ErrorOf(err)
	if failure.Code != codes.InvalidArgument || len(failure.Violations) != 1 || failure.IdempotencyKey == "" {
		t.Fatal(err)
	}
	_, err = client.Emit(t.Context(), Event{Type: "User.Created", Payload: func() {}})
	if !IsReason(err, "FIELD_INVALID") {
		t.Fatal(err)
	}
}

func TestEmitter(t *testing.T) {
	client := connect(t, Config{Address: address(t, "HOOKPOST_TEST_ADDRESS")})
	tenant := "go-" + uuid.NewString()[:8]
	emitter := client.NewEmitter(50)
	ids := make([]string, 500)
	var group sync.WaitGroup
	for n := range ids {
		group.Go(func() {
			event := Event{Type: "User.Created", Payload: map[string]int{"n": n}, TenantID: tenant}
			answer, err := emitter.Emit(t.Context(), event)
			if err != nil {
				t.Error(err)
			}
			ids[n] = answer.EventID
		})
	}
	_, err := emitter.Emit(t.Context(), Event{Type: "No.Such", Payload: struct{}{}, TenantID: tenant})
	if failure := ErrorOf(err); failure.Code != codes.NotFound || failure.Reason != "EVENT_TYPE_UNKNOWN" {
		t.Fatal(err)
	}
	group.Wait()
	different := map[string]bool{}
	for _, id := range ids {
		different[id] = true
	}
	if len(different) != len(ids) {
		t.Fatal(len(different))
	}
	emitter.Close()
	_, err = emitter.Emit(t.Context(), Event{Type: "User.Created", Payload: struct{}{}})
	if ErrorOf(err).Code != codes.Canceled {
		t.Fatal(err)
	}
}

func TestNobodyThereWithinTheTime(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	_ = taken.Close()
	// Longer than five attempts last: who does not wait for the server is UNAVAILABLE by then.
	client := connect(t, Config{Address: address, Timeout: 2500 * time.Millisecond})
	emitter := client.NewEmitter(0)
	defer emitter.Close()
	event := Event{Type: "User.Created", Payload: struct{}{}, IdempotencyKey: "k"}
	if _, err = client.EmitBatch(t.Context(), []Event{event}); ErrorOf(err).Code != codes.DeadlineExceeded {
		t.Fatal(err)
	}
	for _, emit := range []func(context.Context, Event) (Emitted, error){client.Emit, emitter.Emit} {
		_, err = emit(t.Context(), event)
		failure := ErrorOf(err)
		if failure.Code != codes.DeadlineExceeded || !failure.Retryable() || failure.IdempotencyKey != "k" {
			t.Fatal(err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, name := range []string{"ADDRESS", "API_KEY", "API_KEY_FILE", "CA", "CLIENT_CERT", "CLIENT_KEY"} {
		t.Setenv("HOOKPOST_"+name, "")
	}
	for address, protocol := range map[string]string{
		"hookpost.internal:443": "tls", "10.0.0.1:50051": "tls", "[2001:db8::1]:1": "tls", "https://localhost:1": "tls",
		"localhost:1": "insecure", "127.9.9.9:50051": "insecure", "[::1]:1": "insecure", "": "insecure",
		"unix:/a": "insecure", "http://10.0.0.1:1/": "insecure",
	} {
		_, transport, _, err := Config{Address: address}.resolve()
		if err != nil || transport.Info().SecurityProtocol != protocol {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, wrong := range []Config{
		{Address: "host"}, {Address: "http://10.0.0.1:1", APIKey: "k"}, {Address: "a:1", CAFile: "/no/such"},
		{Address: "a:1", CAFile: "client_test.go"}, {Address: "a:1", CertFile: "x"},
		{Address: "a:1", CertFile: "x", KeyFile: "y"},
	} {
		if _, err := NewClient(wrong); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
	if _, _, _, err := (Config{Address: "http://10.0.0.1:1", APIKey: "k", Insecure: true}).resolve(); err != nil {
		t.Error(err)
	}
	file := t.TempDir() + "/key"
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOKPOST_ADDRESS", "hookpost.internal:443")
	t.Setenv("HOOKPOST_API_KEY_FILE", file)
	if address, _, key, _ := (Config{}).resolve(); address != "hookpost.internal:443" || key != "from-a-file" {
		t.Error(address, key)
	}
	t.Setenv("HOOKPOST_API_KEY", "from-the-environment")
	if _, _, key, _ := (Config{}).resolve(); key != "from-the-environment" {
		t.Error(key)
	}
	if _, _, key, _ := (Config{APIKey: "given"}).resolve(); key != "given" {
		t.Error(key)
	}
}

func TestServiceConfigIsThatOfTheAPI(t *testing.T) {
	ours, err := os.ReadFile("../../../proto/service_config.json")
	if err != nil || !bytes.Equal(ours, []byte(serviceConfig)) || !strings.Contains(serviceConfig, "retryPolicy") {
		t.Fatal("copy proto/service_config.json here")
	}
}

func TestTLSAndTheAPIKey(t *testing.T) {
	server := address(t, "HOOKPOST_TEST_TLS")
	client := connect(t, Config{Address: server, APIKey: "k1", CAFile: os.Getenv("HOOKPOST_TEST_CA_FILE")})
	emitter := client.NewEmitter(0)
	defer emitter.Close()
	for _, emit := range []func(context.Context, Event) (Emitted, error){client.Emit, emitter.Emit} {
		answer, err := emit(t.Context(), Event{Type: "A.B", Payload: struct{}{}})
		if err != nil || answer.EventID != "evt_1" {
			t.Fatal(err)
		}
	}
}

func TestAStreamThatBreaks(t *testing.T) {
	server := address(t, "HOOKPOST_TEST_TLS")
	client := connect(t, Config{Address: server, APIKey: "k1", CAFile: os.Getenv("HOOKPOST_TEST_CA_FILE")})
	emitter := client.NewEmitter(0)
	defer emitter.Close()
	var group sync.WaitGroup
	for n := range 10 {
		group.Go(func() {
			event := Event{Type: "Conformance.Broken", Payload: map[string]int{"n": n}}
			if _, err := emitter.Emit(t.Context(), event); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	_, err := emitter.Emit(t.Context(), Event{Type: "Conformance.Stranger", Payload: struct{}{}})
	if ErrorOf(err).Code != codes.Unauthenticated {
		t.Fatal(err)
	}
}
